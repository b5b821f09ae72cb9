/*
 * The monitor: a prompt on the host console behind Ctrl-]. A command is a row in a table; whoever has some
 * registers them. Its answers are lines of key=value pairs, for programs as well as for people.
 */
#pragma once

#include "core/lib/types.h"
#include "core/lineedit.h"

#define MONITOR_MAX_COMMANDS 64
#define MONITOR_LINE_MAX     LINEEDIT_MAX
#define MONITOR_MAX_WORDS    16
#define MONITOR_LATER        1 /* the answer isn't complete yet: its last line, with `end=`, comes when it is */

struct monitor_command {
    const char *name; /* of one word, or of several with one blank between them: "vm start" */
    const char *
        usage; /* the words after the name: "NAME", "[SECONDS]", "". A VM's name is completed where it is NAME */
    const char *help; /* one sentence without its full stop */
    /* words[0] is the name's last word. A negative result has the usage line printed; or MONITOR_LATER. */
    int (*run)(uint32_t count, const char *const *words);
};

/* Hooks the monitor into the console with the commands of its own; what ends the machine is given. */
void monitor_init(void (*power_off)(void), void (*reboot)(void));
/* Adds the rows of a table that stays where it is; ERR_NOMEM, and none added, when there are too many. */
int monitor_register(const struct monitor_command *commands, uint32_t count) MUST_CHECK;
/* Where the names of VMs come from, for completion; NULL beyond the last. */
void monitor_set_names(const char *(*name)(uint32_t index));
/* A command's answer, a line. */
void monitor_print(const char *fmt, ...) PRINTF(1, 2);
/* Whether the command was asked by `kv`: then all of its answer has to be key=value pairs. */
bool monitor_for_program(void);
/* That a VM which was asked for isn't there. */
void monitor_no_vm(const char *name);
