/*
 * The host console: one stream of bytes that the hypervisor and all VMs share (DESIGN 7). In line mode every
 * line begins with `keel[` or `NAME| ` and no line is broken by another's; in focus mode one VM's bytes pass
 * through as they are. There is one console. Where bytes go and come from, and what time it is, is passed in,
 * so that this file is pure.
 *
 * What a VM writes goes into a buffer of its own, and from there to the console as fast as that goes, a line of each VM
 * in turn. A VM that writes faster has its buffer full: its UART says so, and if it writes all the same, its oldest
 * lines are dropped and counted. While another VM is in focus, a VM's newest output is kept there, and shown afterwards.
 */
#pragma once

#include "core/console_ring.h"
#include "core/lib/list.h"
#include "core/lib/types.h"

#define CONSOLE_LINE_MAX 1024 /* a VM's line that gets longer is put out in pieces of this */
#define CONSOLE_STALE_NS                                                                                     \
    (50 * 1000 * 1000ull) /* a line without its end is shown after so long: a prompt, most likely */
#define CONSOLE_NAME_MAX 32
#define CONSOLE_ESCAPE   0x1d /* Ctrl-]: to the monitor */

/*
 * Somewhere that bytes go: the serial port, the screen. Called with the console's lock held. Lines end with
 * CR LF.
 */
struct console_sink {
    void (*write)(void *ctx, const char *bytes, size_t len);
    /*
     * Puts out all that it holds back; may be NULL. `alone`: the machine is going down, only this core still
     * runs, and from now on nothing may be queued and no lock waited for.
     */
    void (*flush)(void *ctx, bool alone);
    void *ctx;
    /* How many bytes of VMs it would take now without waiting; may be NULL: any number. */
    size_t (*room)(void *ctx);
};

/* A VM's end of the console; lives in the VM's board. */
struct console_vm {
    struct list node;
    char prefix[CONSOLE_NAME_MAX + 2]; /* "NAME| " */
    uint32_t prefix_len;
    void (*input)(void *ctx, uint8_t byte); /* a byte typed for this VM */
    void *ctx;
    uint64_t stale_at; /* when an unfinished line is to be shown; UINT64_MAX: nothing is */
    bool flushing;     /* shown even if another one is in focus */
    bool cr;           /* the last byte was a carriage return */
    struct console_ring ring;
    uint32_t len, shown; /* bytes of line[], and how many of them stand on the console already */
    char line[CONSOLE_LINE_MAX];
};

/* What Ctrl-] leads to (core/monitor.h). */
struct console_monitor {
    void (*enter)(void);
    void (*input)(uint8_t byte);
};

/* Forgets everything; line mode, no sinks, no VMs. */
void console_init(void);
/* ERR_NOMEM when there are too many. */
int console_add_sink(const struct console_sink *sink) MUST_CHECK;
/* Where typed bytes come from: returns one, or -1 if there is none now. */
void console_set_source(int (*read)(void *ctx), void *ctx);
void console_set_monitor(const struct console_monitor *monitor);

/* Takes part in the console. The first VM that is added gets what is typed. */
void console_vm_add(struct console_vm *vm, const char *name, void (*input)(void *ctx, uint8_t byte),
                    void *ctx);
/* Puts out what is left, and leaves. In focus mode, the monitor follows if there are others. */
void console_vm_remove(struct console_vm *vm);
/* Puts out what it has written up to now, whether there is room for that or not. */
void console_vm_flush(struct console_vm *vm);
/* False: it should wait before it writes on. */
bool console_vm_ready(const struct console_vm *vm);
struct console_vm *console_vm_find(const char *name);
/* A VM's output, any number of bytes; `now` in ns as for console_poll. */
void console_vm_write(struct console_vm *vm, const void *bytes, size_t len, uint64_t now);

/* One line of the hypervisor's own, without its newline: a log_sink. */
void console_line(const char *line, size_t len);

/*
 * What is typed goes to vm from now on, and the monitor is left. `raw`: focus mode, else line mode. NULL: to
 * nobody.
 */
void console_attach(struct console_vm *vm, bool raw);
/* Back to where it was before the monitor; false if there was no VM. */
bool console_resume(void);
/* As Ctrl-] does. */
void console_enter_monitor(void);
bool console_in_monitor(void);
/*
 * The monitor's unfinished line: the prompt and what was typed so far, and where in it the cursor is. It is shown
 * again when a line of others came in between. console_prompt_end leaves it as a line of its own, and nothing is
 * shown again.
 */
void console_prompt(const char *text, size_t len, size_t cursor);
void console_prompt_end(void);

/* One typed byte, for whom it is meant. */
void console_input(uint8_t byte);
/*
 * Reads what was typed and shows what is stale. For the run loop and idle of any core; cheap when there is
 * nothing. True if there may be more to read than one call takes.
 */
bool console_poll(uint64_t now);
/* Shows unfinished lines that waited long enough. */
void console_flush_stale(uint64_t now);
/*
 * When console_poll has to be called next at the latest, for who sleeps until then; UINT64_MAX: for input
 * only.
 */
uint64_t console_deadline(void);

/* Puts out everything, unfinished lines included. After a panic (core/lib/log.h) it waits for no lock. */
void console_flush(void);
