#include "boot/options.h"

#include "core/lib/string.h"

#define WORD_MAX 512

/* One word, which may be changed. */
static bool parse_word(struct options *options, char *word)
{
    char *value = (char *)str_find(word, '=');
    const struct option *option;
    char shown[64];

    str_copy(shown, word, sizeof(shown));
    if (value)
        *value++ = '\0';
    option = option_find(word);
    if (!option) {
        log_warn("multiboot2 line: there is no option '%s'", shown);
        return false;
    }
    if (!value || !option->set(options, value)) {
        log_warn("multiboot2 line: '%s' is not understood: %s takes %s", shown, option->key, option->values);
        return false;
    }
    return true;
}

int options_parse(struct options *options, const char *line)
{
    char word[WORD_MAX];
    int bad = 0;

    memset(options, 0, sizeof(*options));
    while (*line != '\0') {
        size_t len = 0;

        for (; *line != '\0' && *line != ' ' && *line != '\t'; line++)
            if (len < sizeof(word) - 1)
                word[len++] = *line;
        word[len] = '\0';
        if (len != 0 && !parse_word(options, word))
            bad++;
        if (*line != '\0')
            line++;
    }
    return bad;
}
