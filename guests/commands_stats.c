/* Commands that count: what VMs did, and who had how much of the machine. */
#include "core/clock.h"
#include "core/lib/error.h"
#include "core/lib/format.h"
#include "core/lib/string.h"
#include "core/monitor.h"
#include "core/run.h"
#include "guests/board.h"
#include "guests/commands.h"
#include "guests/launch.h"

typedef unsigned long long ull;

/* The counters of a vCPU that runs are read as they go: each is right, and they needn't agree. */
static void stats_vcpu(struct vcpu *vcpu)
{
    char kinds[320] = "";
    size_t len = 0;
    uint64_t known = 0;

    for (uint32_t i = 0; i < STATS_EXIT_COUNT; i++) {
        uint64_t n = __atomic_load_n(&vcpu->stats.exits[i], __ATOMIC_RELAXED);

        known += n;
        len += (size_t)fmt_print(kinds + len, sizeof(kinds) - len, " %s=%llu", stats_exit_name(i), (ull)n);
        len = MIN(len, sizeof(kinds) - 1);
    }
    monitor_print("vm=%s vcpu=%u run_us=%llu interrupts=%llu calls=%llu wakeups=%llu exits=%llu%s other=%llu",
                  vcpu->vm->name, vcpu->index, (ull)run_time(vcpu) / 1000, (ull)vcpu_interrupts(vcpu),
                  (ull)vcpu->stats.calls, (ull)vcpu->stats.wakeups, (ull)vcpu_exits(vcpu), kinds,
                  (ull)(vcpu_exits(vcpu) > known ? vcpu_exits(vcpu) - known : 0));
}

static void stats_look(struct vm *vm, const struct launch_args *args)
{
    const struct console_ring *ring = &((struct board *)vm->board)->console.ring;

    (void)args;
    for (uint32_t i = 0; i < vm->vcpu_count; i++)
        stats_vcpu(vm->vcpus[i]);
    monitor_print(
        "vm=%s console_bytes=%llu console_waiting=%u console_dropped=%llu console_dropped_lines=%llu",
        vm->name, (ull)ring->written, console_ring_used(ring), (ull)ring->dropped, (ull)ring->dropped_lines);
}

static void stats_of(uint32_t vm)
{
    const struct launch_args none = {0};

    command_result(vm, launch_visit(vm, stats_look, &none));
}

static int command_stats(uint32_t count, const char *const *words)
{
    uint32_t vm;

    if (count > 2)
        return ERR_INVALID;
    if (count == 2) {
        vm = command_find(words[1]);
        if (vm != LAUNCH_NONE)
            stats_of(vm);
        return 0;
    }
    for (vm = 0; vm < launch_count(); vm++)
        stats_of(vm);
    return 0;
}

/* Since the last `top`, or since the start. */
static struct {
    uint64_t at;
    uint64_t ran[VM_MAX]; /* a VM's vCPUs together, ns */
} top_last;

static void top_look(struct vm *vm, const struct launch_args *args)
{
    uint64_t elapsed = MAX(args->a - top_last.at, 1), ran = 0, since;

    for (uint32_t i = 0; i < vm->vcpu_count; i++)
        ran += run_time(vm->vcpus[i]);
    /* Less than before: it was made anew. */
    since = ran >= top_last.ran[vm->id] ? ran - top_last.ran[vm->id] : ran;
    top_last.ran[vm->id] = ran;
    since = since * 1000 / elapsed;
    monitor_print("vm=%s cpu_percent=%llu.%llu run_ms=%llu", vm->name, (ull)since / 10, (ull)since % 10,
                  (ull)ran / 1000000);
}

static int command_top(uint32_t count, const char *const *words)
{
    struct launch_args args = {.a = clock_now()};

    (void)words;
    if (count != 1)
        return ERR_INVALID;
    monitor_print("elapsed_ms=%llu", (ull)(args.a - top_last.at) / 1000000);
    for (uint32_t vm = 0; vm < launch_count(); vm++)
        launch_visit(vm, top_look, &args);
    top_last.at = args.a;
    return 0;
}

/* Counters of locks that are in use are read as they go. */
static void locks_print(const char *whose, const struct lock *lock)
{
    monitor_print("%s held=%u waits=%llu spins=%llu", whose, lock_held(lock), (ull)lock->waits,
                  (ull)lock->spins);
}

static void locks_look(struct vm *vm, const struct launch_args *args)
{
    char whose[VM_NAME_MAX + 32];

    (void)args;
    fmt_print(whose, sizeof(whose), "lock=devices vm=%s", vm->name);
    locks_print(whose, &vm->devices);
}

static int command_locks(uint32_t count, const char *const *words)
{
    const struct launch_args none = {0};
    const struct lock *lock;
    const char *name;
    char whose[64];

    (void)words;
    if (count != 1)
        return ERR_INVALID;
    for (uint32_t i = 0; (lock = lock_named(i, &name)); i++) {
        fmt_print(whose, sizeof(whose), "lock=%s", name);
        locks_print(whose, lock);
    }
    for (uint32_t cpu = 0; cpu < cpu_count; cpu++) {
        fmt_print(whose, sizeof(whose), "lock=timers core=%u", cpu);
        locks_print(whose, &run_timers(cpu)->lock);
    }
    for (uint32_t vm = 0; vm < launch_count(); vm++)
        launch_visit(vm, locks_look, &none);
    return 0;
}

int commands_stats_init(void)
{
    static const struct monitor_command commands[] = {
        {"stats", "[NAME]", "counts exits, interrupts and console output", command_stats},
        {"locks", "", "counts how often, and for how many looks at it, a core had to wait for a lock",
         command_locks},
        {"top", "", "shows the VMs' shares of a core since the last time", command_top},
    };

    return monitor_register(commands, ARRAY_SIZE(commands));
}
