#include "guests/config.h"

#include "core/lib/format.h"
#include "core/lib/panic.h"
#include "core/lib/string.h"
#include "guests/config_parser.h"

static void fault_write(struct config_parser *p, uint32_t line, const char *fmt, va_list ap)
{
    char sentence[320];

    fmt_vprint(sentence, sizeof(sentence), fmt, ap);
    p->faults++;
    if (p->vm)
        p->vm->bad = true;
    p->report(p->ctx, line, sentence);
}

void config_fault(struct config_parser *p, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fault_write(p, p->line, fmt, ap);
    va_end(ap);
}

void config_fault_at(struct config_parser *p, uint32_t line, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fault_write(p, line, fmt, ap);
    va_end(ap);
}

uint32_t config_given(const struct config_parser *p, const char *key)
{
    for (uint32_t i = 0; i < p->given_count; i++)
        if (str_eq(p->given[i].key, key))
            return p->given[i].line;
    return 0;
}

bool config_note(struct config_parser *p, const char *key, bool list)
{
    uint32_t before = config_given(p, key);

    if (before && list)
        return true;
    if (before) {
        config_fault(p, "%s was given on line %u already", key, before);
        return false;
    }
    assert(p->given_count < CONFIG_KEYS_MAX);
    p->given[p->given_count].key = key;
    p->given[p->given_count++].line = p->line;
    return true;
}

/* The current line stands behind the strings that are kept; its values are moved down to them. */
const char *config_keep(struct config_parser *p, const char *value)
{
    char *kept = p->config->strings + p->config->strings_used;
    size_t size = str_len(value) + 1;

    memmove(kept, value, size);
    p->config->strings_used += size;
    return kept;
}

/* What can be said about a VM only at the end of its section. */
static void section_end(struct config_parser *p)
{
    uint32_t kernel = config_given(p, "kernel"), firmware = config_given(p, "firmware");

    if (p->section != SECTION_VM)
        return;
    if (kernel && firmware)
        config_fault_at(p, p->vm->line, "this VM has a kernel (line %u) and firmware (line %u): one is to go",
                        kernel, firmware);
    if (!kernel && !firmware)
        config_fault_at(p, p->vm->line, "this VM has neither a kernel nor firmware");
    if (!config_given(p, "memory"))
        config_fault_at(p, p->vm->line, "this VM has no memory: add a line such as 'memory = 512M'");
}

/* Until the next section is known, what comes belongs to nobody. */
static void section_leave(struct config_parser *p)
{
    section_end(p);
    p->section = SECTION_UNKNOWN;
    p->vm = NULL;
    p->given_count = 0;
}

static struct config_vm *vm_find(struct config *config, const char *name)
{
    for (uint32_t i = 0; i < config->vm_count; i++)
        if (str_eq(config->vms[i].name, name))
            return &config->vms[i];
    return NULL;
}

static void vm_begin(struct config_parser *p, const char *name)
{
    struct config *config = p->config;
    const struct config_vm *other = vm_find(config, name);
    bool own = str_eq(name, "keel"), good = config_name_good(name) && !own;

    p->section = SECTION_VM;
    p->vm_sections++;
    p->vm = good && !other && config->vm_count < CONFIG_MAX_VMS ? &config->vms[config->vm_count++]
                                                                : &p->spare;
    config_vm_defaults(p->vm);
    p->vm->line = p->line;
    if (name[0] == '\0')
        config_fault(p, "this VM has no name: a section begins with [vm NAME]");
    else if (own)
        config_fault(p, "'keel' can't be a VM's name: Keel's own lines begin with it");
    else if (!good)
        config_fault(p, "'%s' can't be a VM's name: 1 to %u letters, digits, '.', '_' and '-', no sign first",
                     config_excerpt(name).text, VM_NAME_MAX - 1);
    else if (other)
        config_fault(p, "there is a VM '%s' on line %u already", name, other->line);
    else if (p->vm == &p->spare)
        config_fault(p, "there are more than %u VMs", CONFIG_MAX_VMS);
    else
        p->vm->name = config_keep(p, name);
}

static void keel_begin(struct config_parser *p)
{
    p->section = SECTION_KEEL;
    if (p->keel_line)
        config_fault(p, "there is a section [keel] on line %u already", p->keel_line);
    else
        p->keel_line = p->line;
}

/* `title` is what stands between the brackets. */
static void section_begin(struct config_parser *p, char *title)
{
    char *name;

    title = config_trim(title);
    for (name = title; *name != '\0' && !config_blank(*name); name++)
        ;
    if (*name != '\0')
        *name++ = '\0';
    name = config_trim(name);
    if (str_eq(title, "vm")) {
        vm_begin(p, name);
    } else if (str_eq(title, "keel") && name[0] == '\0') {
        keel_begin(p);
    } else {
        config_fault(p, "there is no section [%s%s%s], only [keel] and [vm NAME]", config_excerpt(title).text,
                     name[0] ? " " : "", config_excerpt(name).text);
    }
}

static void section_read(struct config_parser *p, char *line)
{
    char *end = (char *)str_find(line, ']');
    bool more = end && end[1] != '\0';

    if (end)
        *end = '\0';
    section_begin(p, line + 1);
    if (!end)
        config_fault(p, "the ']' of this section is missing");
    if (more)
        config_fault(p, "there is more after the ']'");
}

static void setting_read(struct config_parser *p, char *line)
{
    char *value = (char *)str_find(line, '='), *key;

    if (p->section == SECTION_UNKNOWN)
        return;
    if (p->section == SECTION_NONE) {
        config_fault(p, "'%s' stands before the first section", config_excerpt(line).text);
        return;
    }
    if (!value) {
        config_fault(p, "there is no '=' in '%s'", config_excerpt(line).text);
        return;
    }
    *value++ = '\0';
    key = config_trim(line);
    if (key[0] == '\0')
        config_fault(p, "there is no key before the '='");
    else if (p->section == SECTION_KEEL)
        config_keel_set(p, key, config_trim(value));
    else
        config_vm_set(p, key, config_trim(value));
}

/* A comment begins at the line's start or after a blank: "a#b" is a value like any other. */
static size_t comment_cut(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] == '#' && (i == 0 || config_blank(text[i - 1])))
            return i;
    return len;
}

static bool bytes_good(struct config_parser *p, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        uint8_t byte = (uint8_t)text[i];

        if ((byte < ' ' && byte != '\t') || byte == 0x7f) {
            config_fault(p, "byte 0x%02x in column %zu is not text", byte, i + 1);
            return false;
        }
    }
    return true;
}

static bool starts_section(const char *text, size_t len)
{
    size_t i = 0;

    while (i < len && config_blank(text[i]))
        i++;
    return i < len && text[i] == '[';
}

static void line_read(struct config_parser *p, const char *text, size_t len)
{
    struct config *config = p->config;
    char *line = config->strings + config->strings_used;

    if (len && text[len - 1] == '\r')
        len--;
    /* Even if the line turns out to be unreadable: what follows isn't the last section's. */
    if (starts_section(text, len))
        section_leave(p);
    if (len > CONFIG_LINE_MAX) {
        config_fault(p, "the line is longer than %u bytes", CONFIG_LINE_MAX);
        return;
    }
    if (!bytes_good(p, text, len))
        return;
    len = comment_cut(text, len);
    if (len >= CONFIG_STRINGS_MAX - config->strings_used) {
        config_fault(p, "the names and command lines are more than %u KiB together",
                     (uint32_t)(CONFIG_STRINGS_MAX / KiB));
        return;
    }
    memcpy(line, text, len);
    line[len] = '\0';
    line = config_trim(line);
    if (line[0] == '[')
        section_read(p, line);
    else if (line[0] != '\0')
        setting_read(p, line);
}

static void text_read(struct config_parser *p, const char *text, size_t len)
{
    /* Some editors begin a file with a byte order mark. */
    size_t at = len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;

    while (at < len) {
        size_t end = at;

        while (end < len && text[end] != '\n')
            end++;
        p->line++;
        line_read(p, text + at, end - at);
        at = end + 1;
    }
    section_leave(p);
    if (!p->vm_sections)
        config_fault_at(p, MAX(p->line, 1u), "there is no VM: add a section [vm NAME]");
}

uint32_t config_parse(const char *text, size_t len, struct config *out, config_report report, void *ctx)
{
    struct config_parser p = {.config = out, .report = report, .ctx = ctx};

    memset(out, 0, sizeof(*out));
    if (len > CONFIG_TEXT_MAX)
        config_fault_at(&p, 1, "the file is larger than %u KiB", (uint32_t)(CONFIG_TEXT_MAX / KiB));
    else
        text_read(&p, text, len);
    return p.faults;
}
