#include "core/console.h"

#include "core/console_sinks.h"
#include "core/lib/format.h"
#include "core/lib/lock.h"
#include "core/lib/log.h"
#include "core/lib/string.h"

#define PROMPT_MAX  160
#define PANIC_SPINS 100000
#define READ_MAX    64 /* typed bytes that one console_poll takes at most */
#define NO_DEADLINE UINT64_MAX
#define CHUNK       256                            /* bytes of one VM that are taken in its turn */
#define CHUNK_ROOM  (2 * CHUNK + CONSOLE_LINE_MAX) /* what they become at most, with what stood there before */

/* Who wrote last without ending the line. */
enum tail { TAIL_NONE, TAIL_VM, TAIL_PROMPT, TAIL_RAW };

static struct console {
    /* Guards all below, and all struct console_vm; under it, no lock is taken but a sink's. */
    struct lock lock;
    bool alone;                /* the sinks were told of a panic */
    struct list vms;           /* whose turn it is comes first */
    bool waiting;              /* the note of console_settle; not under the lock, nor is `now` */
    uint64_t now;              /* the latest time that anybody told */
    struct console_vm *target; /* gets what is typed */
    bool raw;                  /* its output passes through, others' output is not shown */
    bool monitor_on;           /* the monitor gets what is typed; line mode while it does */
    enum tail tail;
    struct console_vm *tail_vm; /* of TAIL_VM */
    uint32_t prompt_len;        /* 0: no prompt */
    uint32_t prompt_cursor;     /* where in it the terminal's cursor is */
    char prompt[PROMPT_MAX];
    uint64_t deadline;      /* the earliest stale_at; read without the lock */
    struct lock input_lock; /* held while a VM gets a byte, so that it stays; taken before console.lock */
    /* Not under the lock: whoever gets `polling` reads and passes on what was typed. */
    bool polling;
    int (*read)(void *ctx);
    void *read_ctx;
    const struct console_monitor *monitor;
} console;

/* Once there is a panic, the lock's holder may never go on: it is asked politely, then done without, as the sinks do. */
static bool console_lock(void)
{
    if (LIKELY(!log_panicked())) {
        lock_take(&console.lock);
        return true;
    }
    for (uint32_t spins = 0; spins < PANIC_SPINS; spins++)
        if (lock_try(&console.lock))
            return true;
    return false;
}

static void vms_take(uint64_t now);

/* Who has a VM's bytes, and finds the lock taken, leaves a note for its holder, who looks behind dropping it. */
static void console_settle(void)
{
    while (__atomic_load_n(&console.waiting, __ATOMIC_SEQ_CST) && lock_try(&console.lock)) {
        __atomic_store_n(&console.waiting, false, __ATOMIC_SEQ_CST);
        vms_take(console.now);
        lock_drop(&console.lock);
    }
}

static void console_unlock(bool taken)
{
    if (!taken)
        return;
    lock_drop(&console.lock);
    console_settle();
}

/* Output, below the line level --------------------------------------------------------------------------- */

static void line_end(void)
{
    sinks_write("\r\n", 2);
    console.tail = TAIL_NONE;
}

/* Ends whoever's unfinished line. A VM's is kept, so that it is written again as a whole when there is more of it. */
static void tail_close(void)
{
    if (console.tail != TAIL_NONE)
        line_end();
}

static void prompt_show(void)
{
    if (!console.prompt_len || console.tail == TAIL_PROMPT)
        return;
    tail_close();
    sinks_write(console.prompt, console.prompt_len);
    for (uint32_t i = console.prompt_cursor; i < console.prompt_len; i++)
        sinks_write("\b", 1);
    console.tail = TAIL_PROMPT;
}

/* A VM's line in line mode ------------------------------------------------------------------------------- */

/* True if vm's output goes to the console as it comes. */
static bool vm_is_raw(const struct console_vm *vm)
{
    return console.raw && !console.monitor_on && console.target == vm;
}

/* True if vm's output isn't shown, as another VM has the console for itself. */
static bool vm_is_hidden(const struct console_vm *vm)
{
    return console.raw && !console.monitor_on && console.target != vm && !vm->flushing;
}

static void deadline_update(void)
{
    uint64_t deadline = NO_DEADLINE;

    LIST_FOR_EACH(node, &console.vms)
    deadline = MIN(deadline, CONTAINER_OF(node, struct console_vm, node)->stale_at);
    __atomic_store_n(&console.deadline, deadline, __ATOMIC_RELAXED);
}

static void vm_set_stale(struct console_vm *vm, uint64_t at)
{
    uint64_t before = vm->stale_at;

    vm->stale_at = at;
    if (at < console.deadline)
        __atomic_store_n(&console.deadline, at, __ATOMIC_RELAXED);
    else if (before == console.deadline)
        deadline_update();
}

static bool vm_has_tail(const struct console_vm *vm)
{
    return console.tail == TAIL_VM && console.tail_vm == vm;
}

/* Brings what the console shows of vm's line up to date, with the prefix in front if the line begins anew. */
static void vm_show(struct console_vm *vm)
{
    if (!vm_has_tail(vm)) {
        tail_close();
        vm->shown = 0;
        sinks_write(vm->prefix, vm->prefix_len);
    }
    sinks_write(vm->line + vm->shown, vm->len - vm->shown);
    vm->shown = vm->len;
    console.tail = TAIL_VM;
    console.tail_vm = vm;
    vm_set_stale(vm, NO_DEADLINE);
}

static void vm_line_end(struct console_vm *vm)
{
    /* All of it may stand there already, ended by somebody else's line. */
    bool done = vm->len && vm->shown == vm->len && !vm_has_tail(vm);

    if (!vm_is_hidden(vm) && !done) {
        vm_show(vm);
        line_end();
    }
    vm->len = vm->shown = 0;
    vm_set_stale(vm, NO_DEADLINE);
}

/* CR LF is one end of line, LF CR too; a carriage return amid a line (a progress display) ends it. */
static void vm_byte(struct console_vm *vm, uint8_t byte)
{
    bool after_cr = vm->cr;

    vm->cr = byte == '\r';
    if (byte == '\n') {
        vm_line_end(vm);
        return;
    }
    if (after_cr && byte != '\r' && vm->len)
        vm_line_end(vm);
    if (!char_fits_line(byte))
        return;
    if (vm->len == CONSOLE_LINE_MAX)
        vm_line_end(vm);
    vm->line[vm->len++] = (char)byte;
}

/* A raw byte is kept in the line, too, so that the line is there when the mode changes. */
static void vm_raw_write(struct console_vm *vm, const uint8_t *bytes, size_t len)
{
    if (console.tail == TAIL_VM || console.tail == TAIL_PROMPT)
        tail_close();
    sinks_write((const char *)bytes, len);
    console.tail = bytes[len - 1] == '\n' ? TAIL_NONE : TAIL_RAW;
    for (size_t i = 0; i < len; i++) {
        if (bytes[i] == '\n' || bytes[i] == '\r' || vm->len == CONSOLE_LINE_MAX)
            vm->len = 0;
        if (char_fits_line(bytes[i]))
            vm->line[vm->len++] = (char)bytes[i];
    }
    vm->shown = 0;
}

static void vm_lines_write(struct console_vm *vm, const uint8_t *bytes, size_t len, uint64_t now)
{
    for (size_t i = 0; i < len; i++)
        vm_byte(vm, bytes[i]);
    if (vm->len == vm->shown || vm_is_hidden(vm))
        return;
    /* An unfinished line that stands there already grows as it comes: what is typed is echoed without delay. */
    if (vm_has_tail(vm))
        vm_show(vm);
    else
        vm_set_stale(vm, now + CONSOLE_STALE_NS);
}

/* From the VMs' buffers to the console ------------------------------------------------------------------- */

/* What was dropped may have been the rest of the line that stands there. */
static void vm_gap(struct console_vm *vm)
{
    if (vm->len && !vm_is_raw(vm))
        vm_line_end(vm);
    vm->len = vm->shown = 0;
    vm->cr = false;
}

/* False if there was nothing. */
static bool vm_take(struct console_vm *vm, uint64_t now)
{
    uint8_t bytes[CHUNK];
    bool cut;
    uint32_t count = console_ring_pop(&vm->ring, bytes, CHUNK, &cut);

    if (cut)
        vm_gap(vm);
    if (count == 0)
        return false;
    if (vm_is_raw(vm))
        vm_raw_write(vm, bytes, count);
    else
        vm_lines_write(vm, bytes, count, now);
    return true;
}

/* The next one that has something to show; it goes behind all others. NULL: none has. */
static struct console_vm *vm_next(void)
{
    LIST_FOR_EACH(node, &console.vms)
    {
        struct console_vm *vm = CONTAINER_OF(node, struct console_vm, node);

        if (vm_is_hidden(vm) || console_ring_used(&vm->ring) == 0)
            continue;
        list_remove(&vm->node);
        list_insert(&console.vms, &vm->node);
        return vm;
    }
    return NULL;
}

static void vms_take(uint64_t now)
{
    struct console_vm *vm;

    while (sinks_room(CHUNK_ROOM) && (vm = vm_next()))
        vm_take(vm, now);
    if (console.tail == TAIL_NONE)
        prompt_show();
}

static void console_drain(uint64_t now)
{
    __atomic_store_n(&console.now, now, __ATOMIC_RELAXED);
    __atomic_store_n(&console.waiting, true, __ATOMIC_SEQ_CST);
    console_settle();
}

void console_vm_write(struct console_vm *vm, const void *bytes, size_t len, uint64_t now)
{
    console_ring_push(&vm->ring, bytes, len);
    console_drain(now);
}

/* Even if it is hidden: nobody would see its last words else. */
static void vm_flush(struct console_vm *vm)
{
    vm->flushing = true;
    while (vm_take(vm, console.now))
        ;
    if (vm->len > vm->shown && !vm_is_raw(vm))
        vm_show(vm);
    vm->flushing = false;
}

void console_vm_flush(struct console_vm *vm)
{
    bool taken = console_lock();

    vm_flush(vm);
    prompt_show();
    console_unlock(taken);
}

/* A VM that isn't shown needn't wait: only its newest lines are kept. */
bool console_vm_ready(const struct console_vm *vm)
{
    return console_ring_used(&vm->ring) < CONSOLE_RING / 2 || vm_is_hidden(vm);
}

/* Set-up ------------------------------------------------------------------------------------------------- */

void console_init(void)
{
    memset(&console, 0, sizeof(console));
    sinks_init();
    list_init(&console.vms);
    console.deadline = NO_DEADLINE;
    lock_name(&console.lock, "console");
    lock_name(&console.input_lock, "console-input");
}

int console_add_sink(const struct console_sink *sink)
{
    bool taken = console_lock();
    int error = sinks_add(sink);

    console_unlock(taken);
    return error;
}

void console_set_source(int (*read)(void *ctx), void *ctx)
{
    console.read_ctx = ctx;
    console.read = read;
}

void console_set_monitor(const struct console_monitor *monitor)
{
    console.monitor = monitor;
}

void console_vm_add(struct console_vm *vm, const char *name, void (*input)(void *ctx, uint8_t byte),
                    void *ctx)
{
    bool taken;

    memset(vm, 0, sizeof(*vm));
    vm->prefix_len = (uint32_t)fmt_print(vm->prefix, sizeof(vm->prefix), "%.*s| ", CONSOLE_NAME_MAX - 1,
                                         name);
    vm->input = input;
    vm->ctx = ctx;
    vm->stale_at = NO_DEADLINE;
    console_ring_init(&vm->ring);
    taken = console_lock();
    list_insert(&console.vms, &vm->node);
    if (!console.target)
        console.target = vm;
    console_unlock(taken);
}

void console_vm_remove(struct console_vm *vm)
{
    bool taken, gap; /* it has the console for itself, and there are others */

    lock_take(&console.input_lock);
    taken = console_lock();
    vm_flush(vm);
    gap = vm_is_raw(vm) && console.vms.next != console.vms.prev;
    if (vm_has_tail(vm))
        tail_close();
    if (console.target == vm) {
        console.target = NULL;
        console.raw = false;
    }
    list_remove(&vm->node);
    deadline_update();
    prompt_show();
    console_unlock(taken);
    lock_drop(&console.input_lock);
    /* Who sits there would type to nobody. */
    if (!gap)
        return;
    log_info("console: %.*s has gone; `console NAME` leads to another VM, `quit` switches the machine off",
             (int)vm->prefix_len - 2, vm->prefix);
    console_enter_monitor();
}

struct console_vm *console_vm_find(const char *name)
{
    struct console_vm *found = NULL;
    size_t len = str_len(name);
    bool taken = console_lock();

    LIST_FOR_EACH(node, &console.vms)
    {
        struct console_vm *vm = CONTAINER_OF(node, struct console_vm, node);

        if (!found && vm->prefix_len == len + 2 && !memcmp(vm->prefix, name, len))
            found = vm;
    }
    console_unlock(taken);
    return found;
}

/* The hypervisor's lines --------------------------------------------------------------------------------- */

void console_line(const char *line, size_t len)
{
    bool taken = console_lock();

    if (UNLIKELY(log_panicked() && !console.alone)) {
        console.alone = true;
        sinks_flush(true);
    }
    tail_close();
    sinks_write(line, len);
    line_end();
    prompt_show();
    console_unlock(taken);
}

/* Whether what is shown becomes what is to be shown by writing more at its end. */
static bool prompt_grows(const char *text, size_t len, size_t cursor)
{
    return cursor == len && console.prompt_cursor == console.prompt_len && len >= console.prompt_len &&
           !memcmp(text, console.prompt, console.prompt_len);
}

void console_prompt(const char *text, size_t len, size_t cursor)
{
    bool taken = console_lock();

    len = MIN(len, (size_t)PROMPT_MAX);
    if (console.tail == TAIL_PROMPT && prompt_grows(text, len, cursor)) {
        sinks_write(text + console.prompt_len, len - console.prompt_len);
    } else if (console.tail == TAIL_PROMPT) {
        sinks_write("\r\x1b[K", 4);
        console.tail = TAIL_NONE;
    }
    memcpy(console.prompt, text, len);
    console.prompt_len = (uint32_t)len;
    console.prompt_cursor = (uint32_t)MIN(cursor, len);
    prompt_show();
    console_unlock(taken);
}

void console_prompt_end(void)
{
    bool taken = console_lock();

    console.prompt_len = 0;
    if (console.tail == TAIL_PROMPT)
        line_end();
    console_unlock(taken);
}

/* Input -------------------------------------------------------------------------------------------------- */

void console_attach(struct console_vm *vm, bool raw)
{
    bool taken = console_lock();

    console.prompt_len = 0;
    tail_close();
    console.target = vm;
    console.raw = raw && vm;
    console.monitor_on = false;
    /* The VM's unfinished line, its prompt most likely, is shown where the VM's output goes on. */
    if (vm && vm->len && console.raw) {
        sinks_write(vm->line, vm->len);
        console.tail = TAIL_RAW;
        vm_set_stale(vm, NO_DEADLINE);
    } else if (vm && vm->len) {
        vm_show(vm);
    }
    console_unlock(taken);
    console_drain(console.now);
}

bool console_resume(void)
{
    if (!console.target)
        return false;
    console_attach(console.target, console.raw);
    return true;
}

void console_enter_monitor(void)
{
    bool taken;

    if (!console.monitor || console.monitor_on)
        return;
    taken = console_lock();
    tail_close();
    console.monitor_on = true;
    console_unlock(taken);
    console_drain(console.now);
    console.monitor->enter();
}

bool console_in_monitor(void)
{
    return console.monitor_on;
}

static void vm_input(uint8_t byte)
{
    struct console_vm *vm;

    lock_take(&console.input_lock);
    vm = console.target;
    if (vm && vm->input)
        vm->input(vm->ctx, byte);
    lock_drop(&console.input_lock);
}

void console_input(uint8_t byte)
{
    if (byte == CONSOLE_ESCAPE)
        console_enter_monitor();
    else if (console.monitor_on)
        console.monitor->input(byte);
    else
        vm_input(byte);
}

static bool console_read(void)
{
    uint32_t count = 0;
    int byte;

    if (!console.read || __atomic_exchange_n(&console.polling, true, __ATOMIC_ACQUIRE))
        return false;
    /* The monitor's answers are written at one go: its next line is read when the last one is nearly out. */
    while (count < READ_MAX && (!console.monitor_on || sinks_room(CHUNK_ROOM)) &&
           (byte = console.read(console.read_ctx)) >= 0) {
        console_input((uint8_t)byte);
        count++;
    }
    __atomic_store_n(&console.polling, false, __ATOMIC_RELEASE);
    return count == READ_MAX;
}

bool console_poll(uint64_t now)
{
    bool more = console_read();

    console_drain(now);
    console_flush_stale(now);
    return more;
}

/* Unfinished lines --------------------------------------------------------------------------------------- */

uint64_t console_deadline(void)
{
    return __atomic_load_n(&console.deadline, __ATOMIC_RELAXED);
}

static void vms_show_until(uint64_t now)
{
    LIST_FOR_EACH(node, &console.vms)
    {
        struct console_vm *vm = CONTAINER_OF(node, struct console_vm, node);

        if (vm->stale_at == NO_DEADLINE || vm->stale_at > now)
            continue;
        if (vm_is_hidden(vm) || vm_is_raw(vm))
            vm_set_stale(vm, NO_DEADLINE);
        else
            vm_show(vm);
    }
    deadline_update();
    prompt_show();
}

void console_flush_stale(uint64_t now)
{
    bool taken;

    if (LIKELY(now < console_deadline()))
        return;
    taken = console_lock();
    vms_show_until(now);
    console_unlock(taken);
}

void console_flush(void)
{
    bool taken = console_lock();

    LIST_FOR_EACH(node, &console.vms)
    vm_flush(CONTAINER_OF(node, struct console_vm, node));
    prompt_show();
    sinks_flush(log_panicked());
    console_unlock(taken);
}
