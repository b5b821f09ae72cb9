#include "core/monitor_table.h"

#include "core/lib/error.h"
#include "core/lib/format.h"
#include "core/lib/string.h"

#define CANDIDATE_MAX (MONITOR_LINE_MAX + 2)

static const struct monitor_command *commands[MONITOR_MAX_COMMANDS]; /* by name */
static uint32_t command_count;
static const char *(*vm_name)(uint32_t index);

void monitor_table_init(void)
{
    command_count = 0;
    vm_name = NULL;
}

uint32_t monitor_table_count(void)
{
    return command_count;
}

const struct monitor_command *monitor_table_at(uint32_t index)
{
    return commands[index];
}

void monitor_set_names(const char *(*name)(uint32_t index))
{
    vm_name = name;
}

static bool name_before(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return (uint8_t)*a < (uint8_t)*b;
}

int monitor_register(const struct monitor_command *table, uint32_t count)
{
    if (count > MONITOR_MAX_COMMANDS - command_count)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = command_count++;

        for (; at > 0 && name_before(table[i].name, commands[at - 1]->name); at--)
            commands[at] = commands[at - 1];
        commands[at] = &table[i];
    }
    return 0;
}

/* The number of words of a name if the words begin with it, else 0. */
static uint32_t name_match(const char *name, const char *const *words, uint32_t count)
{
    uint32_t matched = 0;

    for (; matched < count; matched++) {
        size_t len = str_len(words[matched]);

        if (!str_starts(name, words[matched]) || (name[len] != ' ' && name[len] != '\0'))
            return 0;
        if (name[len] == '\0')
            return matched + 1;
        name += len + 1;
    }
    return 0;
}

const struct monitor_command *monitor_table_find(const char *const *words, uint32_t count, uint32_t *skip)
{
    const struct monitor_command *found = NULL;
    uint32_t best = 0;

    for (uint32_t i = 0; i < command_count; i++) {
        uint32_t matched = name_match(commands[i]->name, words, count);

        if (matched > best) {
            best = matched;
            found = commands[i];
        }
    }
    *skip = best - (best > 0);
    return found;
}

/* Completion --------------------------------------------------------------------------------------------- */

struct completion {
    size_t typed; /* bytes of a candidate that are there already */
    char *more;
    size_t size;
    uint32_t count;
    void (*each)(const char *candidate);
};

static void completion_add(struct completion *c, const char *candidate)
{
    const char *rest = candidate + c->typed;

    if (c->count++ == 0) {
        str_copy(c->more, rest, c->size);
    } else {
        size_t same = 0;

        while (c->more[same] && c->more[same] == rest[same])
            same++;
        c->more[same] = '\0';
    }
    if (c->each)
        c->each(candidate);
}

/* Names of commands end with a blank where something may follow. */
static void complete_command(struct completion *c, const struct monitor_command *command, const char *text,
                             size_t len)
{
    char candidate[CANDIDATE_MAX];

    fmt_print(candidate, sizeof(candidate), "%s%s", command->name, command->usage[0] ? " " : "");
    if (str_len(command->name) >= len && !memcmp(candidate, text, len))
        completion_add(c, candidate);
}

static void complete_names(struct completion *c, const char *text, size_t len)
{
    const char *name;

    for (uint32_t i = 0; vm_name && (name = vm_name(i)); i++) {
        char candidate[CANDIDATE_MAX];

        fmt_print(candidate, sizeof(candidate), "%s ", name);
        if (str_len(name) >= len && !memcmp(candidate, text, len))
            completion_add(c, candidate);
    }
}

static bool takes_name(const struct monitor_command *command)
{
    return str_starts(command->usage, "NAME") || str_starts(command->usage, "[NAME]");
}

/* The place of the first byte behind the command's name and one blank, if the text has those; else 0. */
static size_t behind_name(const struct monitor_command *command, const char *text, size_t len)
{
    size_t name = str_len(command->name);

    return len > name && !memcmp(text, command->name, name) && text[name] == ' ' ? name + 1 : 0;
}

uint32_t monitor_complete(const char *text, size_t len, char *more, size_t size,
                          void (*each)(const char *candidate))
{
    struct completion c = {.typed = len, .more = more, .size = size, .each = each};

    more[0] = '\0';
    for (uint32_t i = 0; i < command_count; i++)
        complete_command(&c, commands[i], text, len);
    for (uint32_t i = 0; i < command_count && c.count == 0; i++) {
        size_t at = behind_name(commands[i], text, len);

        if (at == 0 || !takes_name(commands[i]))
            continue;
        c.typed = len - at;
        complete_names(&c, text + at, len - at);
    }
    return c.count;
}
