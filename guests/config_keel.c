/* The section [keel]: the options of the multiboot2 line, with names checked at once. */
#include "core/lib/string.h"
#include "core/x86/caps.h"
#include "guests/config_parser.h"

/* Each name for itself, so that each wrong one is told. */
static bool disable_set(struct config_parser *p, const struct option *option, char *list)
{
    for (char *word; (word = config_word(&list));) {
        if (word[0] == '\0')
            return false;
        if (cap_find(word, str_len(word)) < 0)
            config_fault(p, "there is no feature '%s' to disable", config_excerpt(word).text);
        else if (!option->set(&p->config->keel, word))
            return false;
    }
    return true;
}

void config_keel_set(struct config_parser *p, const char *key, char *value)
{
    const struct option *option = option_find(key);
    struct config_excerpt shown = config_excerpt(value);
    bool good;

    if (!option) {
        config_fault(p, "there is no key '%s' in [keel]", config_excerpt(key).text);
        return;
    }
    if (option->line_only) {
        config_fault(p, "%s can be given on the multiboot2 line only", option->key);
        return;
    }
    if (!config_note(p, option->key, false))
        return;
    good = value[0] != '\0' &&
           (str_eq(key, "disable") ? disable_set(p, option, value) : option->set(&p->config->keel, value));
    if (!good)
        config_value_fault(p, option->key, option->values, shown.text);
}
