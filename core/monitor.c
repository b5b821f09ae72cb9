#include "core/monitor.h"

#include "core/console.h"
#include "core/lib/error.h"
#include "core/lib/format.h"
#include "core/lib/string.h"
#include "core/monitor_table.h"

#define PROMPT     "keel> "
#define PROMPT_LEN 6
#define WIDTH      78       /* what is shown of a line, the prompt included: a terminal has 80 columns */
#define ANSWER     "keel| " /* in the form of a VM's line, so that the stream keeps its grammar (DESIGN 7) */
#define ANSWER_MAX 1152     /* a line of the log, with what `kv` adds */
#define QUOTED_MAX 256

static void (*hook_power_off)(void), (*hook_reboot)(void);
static struct lineedit edit;
static bool for_program; /* while a command runs that was asked by `kv` */

void monitor_print(const char *fmt, ...)
{
    char text[ANSWER_MAX] = ANSWER;
    size_t prefix = sizeof(ANSWER) - 1;
    va_list ap;
    int len;

    va_start(ap, fmt);
    len = fmt_vprint(text + prefix, sizeof(text) - prefix, fmt, ap);
    va_end(ap);
    console_line(text, MIN(prefix + (size_t)len, sizeof(text) - 1));
}

bool monitor_for_program(void)
{
    return for_program;
}

void monitor_no_vm(const char *name)
{
    char quoted[QUOTED_MAX];

    if (for_program)
        monitor_print("error=no-such-vm vm=\"%s\"", fmt_quote(quoted, sizeof(quoted), name));
    else
        monitor_print("there is no VM named %s", name);
}

/* Commands ----------------------------------------------------------------------------------------------- */

static void help_print(const struct monitor_command *c)
{
    int used = (int)(str_len(c->name) + str_len(c->usage));

    if (for_program)
        monitor_print("command=\"%s\" usage=\"%s\" help=\"%s\"", c->name, c->usage, c->help);
    else
        monitor_print("%s %s%*s %s", c->name, c->usage, used < 22 ? 22 - used : 0, "", c->help);
}

static int run_help(uint32_t count, const char *const *words)
{
    (void)words;
    if (count != 1)
        return ERR_INVALID;
    for (uint32_t i = 0; i < monitor_table_count(); i++)
        help_print(monitor_table_at(i));
    if (for_program)
        return 0;
    monitor_print("Tab completes, the arrows bring back earlier lines");
    monitor_print("an empty line: back to the console; Ctrl-]: to here again");
    return 0;
}

static int run_console(uint32_t count, const char *const *words)
{
    struct console_vm *vm = count == 2 ? console_vm_find(words[1]) : NULL;

    if (count != 2)
        return ERR_INVALID;
    if (!vm) {
        monitor_no_vm(words[1]);
        return 0;
    }
    console_attach(vm, true);
    return 0;
}

static int run_power_off(uint32_t count, const char *const *words)
{
    (void)words;
    if (count == 1)
        hook_power_off();
    return ERR_INVALID;
}

static int run_reboot(uint32_t count, const char *const *words)
{
    (void)words;
    if (count == 1)
        hook_reboot();
    return ERR_INVALID;
}

static int run_kv(uint32_t count, const char *const *words);

static const struct monitor_command builtin[] = {
    {"console", "NAME", "passes the console to a VM, until Ctrl-]", run_console},
    {"help", "", "lists the commands", run_help},
    {"kv", "COMMAND...", "has a command answer to a program: key=value alone, and end= in the last line",
     run_kv},
    {"poweroff", "", "switches the machine off, whatever the VMs are doing", run_power_off},
    {"quit", "", "the same as poweroff", run_power_off},
    {"reboot", "", "resets the machine, whatever the VMs are doing", run_reboot},
};

/* Running a line ----------------------------------------------------------------------------------------- */

static uint32_t line_split(char *text, const char **words)
{
    uint32_t count = 0;

    for (char *p = text; *p;) {
        if (*p == ' ') {
            *p++ = '\0';
            continue;
        }
        if (count == MONITOR_MAX_WORDS)
            return count + 1;
        words[count++] = p;
        while (*p && *p != ' ')
            p++;
    }
    return count;
}

/* For a word that only longer names begin with: `vm`. */
static bool usage_print(const char *word)
{
    bool found = false;
    size_t len = str_len(word);

    for (uint32_t i = 0; i < monitor_table_count(); i++) {
        const struct monitor_command *c = monitor_table_at(i);

        if (!str_starts(c->name, word) || c->name[len] != ' ')
            continue;
        monitor_print("usage: %s %s", c->name, c->usage);
        found = true;
    }
    return found;
}

static void words_run(uint32_t count, const char *const *words)
{
    uint32_t skip;
    const struct monitor_command *command = monitor_table_find(words, count, &skip);

    if (command && command->run(count - skip, words + skip) < 0)
        monitor_print("usage: %s %s", command->name, command->usage);
    if (!command && !usage_print(words[0]))
        monitor_print("there is no command %s; try help", words[0]);
}

/* The same for a program; the last line says what it was that has ended. */
static void words_run_kv(uint32_t count, const char *const *words)
{
    uint32_t skip;
    const struct monitor_command *command = monitor_table_find(words, count, &skip);
    char quoted[QUOTED_MAX];
    int result;

    if (!command) {
        monitor_print("error=no-such-command command=\"%s\"", fmt_quote(quoted, sizeof(quoted), words[0]));
        monitor_print("end=none");
        return;
    }
    result = command->run(count - skip, words + skip);
    if (result < 0)
        monitor_print("error=usage usage=\"%s %s\"", command->name, command->usage);
    if (result != MONITOR_LATER)
        monitor_print("end=\"%s\"", command->name);
}

static int run_kv(uint32_t count, const char *const *words)
{
    if (count < 2 || for_program)
        return ERR_INVALID;
    for_program = true;
    words_run_kv(count - 1, words + 1);
    for_program = false;
    return 0;
}

static void line_run(char *text)
{
    const char *words[MONITOR_MAX_WORDS];
    uint32_t count = line_split(text, words);

    if (count > MONITOR_MAX_WORDS)
        monitor_print("more than %d words", MONITOR_MAX_WORDS);
    else
        words_run(count, words);
}

/* The line that is typed --------------------------------------------------------------------------------- */

/* Of a line that is longer than the terminal's, the part around the cursor is shown. */
static void line_show(void)
{
    char shown[WIDTH + 1] = PROMPT;
    uint32_t room = WIDTH - PROMPT_LEN;
    uint32_t from = edit.cursor > room ? edit.cursor - room : 0;
    uint32_t len = MIN(edit.len - from, room);

    memcpy(shown + PROMPT_LEN, edit.text + from, len);
    console_prompt(shown, PROMPT_LEN + len, PROMPT_LEN + edit.cursor - from);
}

static bool is_blank(const char *text)
{
    while (*text == ' ')
        text++;
    return !*text;
}

static void line_done(void)
{
    char text[MONITOR_LINE_MAX + 1];
    bool blank = is_blank(edit.text);

    str_copy(text, edit.text, sizeof(text));
    if (!blank)
        lineedit_remember(&edit);
    lineedit_clear(&edit);
    console_prompt_end();
    if (blank && console_resume())
        return;
    if (!blank)
        line_run(text);
    if (console_in_monitor())
        line_show();
}

static void candidate_print(const char *candidate)
{
    monitor_print("%s", candidate);
}

/* What is before the cursor; if that can't go on in one way alone, the ways are listed. */
static void line_complete(void)
{
    char more[MONITOR_LINE_MAX];

    if (monitor_complete(edit.text, edit.cursor, more, sizeof(more), NULL) == 0)
        return;
    if (more[0]) {
        lineedit_insert(&edit, more, str_len(more));
    } else {
        console_prompt_end();
        monitor_complete(edit.text, edit.cursor, more, sizeof(more), candidate_print);
    }
    line_show();
}

static void line_cancel(void)
{
    lineedit_clear(&edit);
    console_prompt_end();
    line_show();
}

static void monitor_input(uint8_t byte)
{
    switch (lineedit_key(&edit, byte)) {
    case LINEEDIT_DONE:
        line_done();
        break;
    case LINEEDIT_CANCEL:
        line_cancel();
        break;
    case LINEEDIT_TAB:
        line_complete();
        break;
    case LINEEDIT_REDRAW:
        console_prompt_end();
        line_show();
        break;
    case LINEEDIT_CHANGED:
        line_show();
        break;
    default:
        break;
    }
}

static void monitor_enter(void)
{
    lineedit_clear(&edit);
    line_show();
}

void monitor_init(void (*power_off)(void), void (*reboot)(void))
{
    static const struct console_monitor monitor = {monitor_enter, monitor_input};

    hook_power_off = power_off;
    hook_reboot = reboot;
    lineedit_init(&edit);
    monitor_table_init();
    if (monitor_register(builtin, ARRAY_SIZE(builtin)) == 0)
        console_set_monitor(&monitor);
}
