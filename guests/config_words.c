/* Values of keel.conf, taken apart. */
#include "core/lib/string.h"
#include "guests/config_parser.h"

char *config_trim(char *text)
{
    size_t len;

    while (config_blank(*text))
        text++;
    len = str_len(text);
    while (len && config_blank(text[len - 1]))
        len--;
    text[len] = '\0';
    return text;
}

char *config_word(char **list)
{
    char *word = *list, *comma;

    if (!word)
        return NULL;
    comma = (char *)str_find(word, ',');
    if (comma)
        *comma++ = '\0';
    *list = comma;
    return config_trim(word);
}

struct config_excerpt config_excerpt(const char *value)
{
    struct config_excerpt excerpt = {""};

    if (!str_copy(excerpt.text, value, sizeof(excerpt.text)))
        memcpy(excerpt.text + sizeof(excerpt.text) - 4, "...", 4);
    return excerpt;
}

void config_value_fault(struct config_parser *p, const char *key, const char *takes, const char *value)
{
    if (value[0] == '\0')
        config_fault(p, "%s has no value: it takes %s", key, takes);
    else
        config_fault(p, "%s takes %s, not '%s'", key, takes, value);
}

static bool is_alphanumeric(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool config_name_good(const char *name)
{
    size_t len = str_len(name);

    if (len >= VM_NAME_MAX || !is_alphanumeric(name[0]))
        return false;
    for (size_t i = 1; i < len; i++)
        if (!is_alphanumeric(name[i]) && name[i] != '.' && name[i] != '_' && name[i] != '-')
            return false;
    return true;
}

bool config_file_good(const char *name)
{
    for (const char *c = name; *c != '\0'; c++)
        if (config_blank(*c) || *c == '\'' || *c == '"' || *c == '\\')
            return false;
    return name[0] != '\0' && !str_eq(name, CONFIG_NAME);
}

/* "5" or "2-3" */
static bool cores_add(char *range, uint64_t cores[CONFIG_MAX_CORES / 64])
{
    char *dash = (char *)str_find(range, '-');
    uint64_t first, last;

    if (dash)
        *dash++ = '\0';
    if (!str_number(range, false, &first) || !str_number(dash ? dash : range, false, &last))
        return false;
    if (first > last || last >= CONFIG_MAX_CORES)
        return false;
    for (uint64_t core = first; core <= last; core++)
        cores[core / 64] |= BIT(core % 64);
    return true;
}

bool config_cores(char *list, uint64_t cores[CONFIG_MAX_CORES / 64])
{
    for (char *word; (word = config_word(&list));)
        if (!cores_add(word, cores))
            return false;
    return true;
}

static bool mac_byte(const char *digits, uint8_t *byte)
{
    char text[5] = "0x";
    uint64_t value;

    memcpy(text + 2, digits, 2);
    text[4] = '\0';
    if (!str_number(text, false, &value))
        return false;
    *byte = (uint8_t)value;
    return true;
}

bool config_mac(const char *text, uint8_t mac[6])
{
    if (str_len(text) != 17)
        return false;
    for (uint32_t i = 0; i < 6; i++, text += 3)
        if (!mac_byte(text, &mac[i]) || text[2] != (i < 5 ? ':' : '\0'))
            return false;
    /* IEEE 802: the lowest bit of the first byte marks an address of several stations. */
    return !(mac[0] & 1) && (mac[0] | mac[1] | mac[2] | mac[3] | mac[4] | mac[5]);
}

static bool limit_is(const char *word, const char *name)
{
    return str_starts(word, name) && word[str_len(name)] == '=';
}

static void limit_set(struct config_parser *p, const char *name, const char *value, bool size, uint64_t *rate)
{
    uint64_t number;

    if (*rate)
        config_fault(p, "%s is given more than once", name);
    else if (!str_number(value, size, &number) || number < 1 || number > VLIMIT_RATE_MAX)
        config_fault(p, "%s takes a number a second from 1 to %llu, not '%s'", name, VLIMIT_RATE_MAX,
                     config_excerpt(value).text);
    else
        *rate = number;
}

bool config_limit(struct config_parser *p, const char *word, const char *ops, struct vlimit_rates *rates)
{
    if (limit_is(word, ops))
        limit_set(p, ops, word + str_len(ops) + 1, false, &rates->ops);
    else if (limit_is(word, "bps"))
        limit_set(p, "bps", word + 4, true, &rates->bytes);
    else
        return false;
    return true;
}
