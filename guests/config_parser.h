/* What the parts of the parser of keel.conf share: where it stands, how a fault is told, how values are taken apart. */
#pragma once

#include "guests/config.h"

#define CONFIG_KEYS_MAX 32

enum config_section {
    SECTION_NONE, /* before the first one */
    SECTION_KEEL,
    SECTION_VM,
    SECTION_UNKNOWN, /* told already: what it holds is passed over */
};

struct config_parser {
    struct config *config;
    config_report report;
    void *ctx;
    uint32_t line;
    uint32_t faults;
    enum config_section section;
    struct config_vm *vm; /* in SECTION_VM: which gets the values */
    uint32_t keel_line;   /* of [keel]; 0: not seen yet */
    uint32_t vm_sections;
    struct {
        const char *key; /* the table's string */
        uint32_t line;
    } given[CONFIG_KEYS_MAX]; /* keys of this section, up to now */
    uint32_t given_count;
    struct config_vm spare; /* for a section that can't become a VM: its lines are checked all the same */
};

/* Tells a fault of the current line, or of another; the VM whose section this is goes bad. */
void config_fault(struct config_parser *p, const char *fmt, ...) PRINTF(2, 3);
void config_fault_at(struct config_parser *p, uint32_t line, const char *fmt, ...) PRINTF(3, 4);
/* Tells that a value is not what the key takes. */
void config_value_fault(struct config_parser *p, const char *key, const char *takes, const char *value);
/* A value for a fault's sentence: as it was before it was taken apart, and cut if it is long. */
struct config_excerpt {
    char text[48];
};
struct config_excerpt config_excerpt(const char *value);

/* The line of this section that has the key; 0: none. */
uint32_t config_given(const struct config_parser *p, const char *key);
/* Notes a key of this section, by the table's string; false, and a fault, if it was given before and is no `list`. */
bool config_note(struct config_parser *p, const char *key, bool list);
/* Keeps a value, which lies in the current line, for as long as the configuration lives. */
const char *config_keep(struct config_parser *p, const char *value);

/* key = value in [keel], in [vm NAME]. */
void config_keel_set(struct config_parser *p, const char *key, char *value);
void config_vm_set(struct config_parser *p, const char *key, char *value);
void config_vm_defaults(struct config_vm *vm);

static inline bool config_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Cuts blanks off at both ends, in place. */
char *config_trim(char *text);
/* The next word of a list with commas, trimmed, or NULL after the last; *list moves on and is cut up. */
char *config_word(char **list);
/* Good as the name of a VM or of a switch. */
bool config_name_good(const char *name);
/* Good as a module's name: one word, with nothing that GRUB's shell would need quoted twice. */
bool config_file_good(const char *name);
/* "2-3,5" as bits; false if that is not what it looks like. */
bool config_cores(char *list, uint64_t cores[CONFIG_MAX_CORES / 64]);
/* Six bytes in hexadecimal with colons, one station's address. */
bool config_mac(const char *text, uint8_t mac[6]);
/* "OPS=1000" or "bps=10M", a limit; a number that isn't good is told. False: it is something else. */
bool config_limit(struct config_parser *p, const char *word, const char *ops, struct vlimit_rates *rates);
