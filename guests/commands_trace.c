/*
 * Commands for the trace. A dump is lines of key=value pairs, whose events are hexadecimal digits of the ring's bytes;
 * tests/trace makes a timeline of them. It is written in steps, no faster than the console takes it, and the trace rests meanwhile.
 */
#include "core/clock.h"
#include "core/console_sinks.h"
#include "core/lib/error.h"
#include "core/lib/format.h"
#include "core/lib/string.h"
#include "core/monitor.h"
#include "core/run.h"
#include "core/trace.h"
#include "core/vcpu_ops.h"
#include "guests/commands.h"
#include "guests/launch.h"

#define LINE_EVENTS 8
#define STEP_LINES  4
#define STEP_NS     1000000ull /* between steps */
#define STEP_ROOM   4096       /* bytes that the console takes at once before one */
#define NAMES_MAX   64         /* exit reasons that are told by name */

typedef unsigned long long ull;

static struct {
    struct timer timer;
    bool busy, goes_on;
    uint64_t newest; /* so many of each core */
    uint32_t cpu;
    uint64_t at, end; /* the next event of that core, and the one behind its last */
    bool begun;       /* with that core */
    uint32_t named;
    uint32_t names[NAMES_MAX];
} dump;

/* Each reason once, before the first line that has it. */
static void dump_name(uint32_t reason)
{
    for (uint32_t i = 0; i < dump.named; i++)
        if (dump.names[i] == reason)
            return;
    if (dump.named == NAMES_MAX)
        return;
    dump.names[dump.named++] = reason;
    monitor_print("trace=exit reason=%u name=\"%s\"", reason, vcpu_ops->exit_name(reason));
}

static void dump_line(const struct trace_ring *ring, uint32_t count)
{
    char hex[LINE_EVENTS * sizeof(struct trace_event) * 2 + 1] = "", *to = hex;

    for (uint32_t i = 0; i < count; i++) {
        const struct trace_event *event = trace_ring_at(ring, dump.at + i);
        const uint8_t *bytes = (const uint8_t *)event;

        if ((uint8_t)event->who == TRACE_EXIT)
            dump_name(event->code);
        for (size_t n = 0; n < sizeof *event; n++, to += 2)
            fmt_print(to, 3, "%02x", bytes[n]);
    }
    monitor_print("trace=events core=%u first=%llu hex=%s", dump.cpu, (ull)dump.at, hex);
    dump.at += count;
}

static void dump_core_begin(const struct trace_ring *ring)
{
    uint64_t oldest = trace_ring_oldest(ring);

    dump.begun = true;
    dump.end = trace_ring_count(ring);
    dump.at = dump.end > dump.newest ? MAX(oldest, dump.end - dump.newest) : oldest;
    monitor_print("trace=core core=%u events=%llu before=%llu", dump.cpu, (ull)(dump.end - dump.at),
                  (ull)dump.at);
}

/* True when there is no more. */
static bool dump_step(void)
{
    const struct trace_ring *ring;

    if (dump.cpu == cpu_count)
        return true;
    ring = trace_ring_of(dump.cpu);
    if (!dump.begun)
        dump_core_begin(ring);
    for (uint32_t line = 0; line < STEP_LINES && dump.at < dump.end; line++)
        dump_line(ring, (uint32_t)MIN(dump.end - dump.at, (uint64_t)LINE_EVENTS));
    if (dump.at == dump.end) {
        dump.cpu++;
        dump.begun = false;
    }
    return false;
}

static void dump_end(void)
{
    dump.busy = false;
    if (dump.goes_on && trace_start(0))
        monitor_print("error=no-memory");
    monitor_print("end=\"tracing dump\"");
}

static void dump_continue(struct timer *timer, uint64_t now)
{
    if (sinks_room(STEP_ROOM) && dump_step())
        dump_end();
    else
        timer_arm(timer, now + STEP_NS);
}

static void dump_machine(void)
{
    uint64_t ns = clock_now();

    monitor_print("trace=machine version=1 vendor=%s cores=%u hz=%llu tsc=%llu ns=%llu", vendor->name,
                  cpu_count, (ull)clock_tsc_hz(), (ull)clock_tsc_at(ns), (ull)ns);
    for (uint32_t i = 0; i < launch_count(); i++)
        monitor_print("trace=vm id=%u name=%s vcpus=%u", i, launch_spec(i)->name, launch_spec(i)->vcpus);
}

static int command_dump(uint32_t count, const char *const *words)
{
    uint64_t newest = UINT64_MAX;

    if (count > 2 || (count == 2 && (!str_number(words[1], false, &newest) || newest == 0)))
        return ERR_INVALID;
    if (dump.busy || !trace_ring_of(0)) {
        monitor_print("error=%s", dump.busy ? "busy" : "never-on");
        return 0;
    }
    dump.goes_on = trace_on;
    trace_stop();
    dump.busy = true;
    dump.newest = newest;
    dump.cpu = dump.named = 0;
    dump.begun = false;
    dump_machine();
    timer_init(&dump.timer, run_timers(this_cpu()->index), dump_continue);
    timer_arm(&dump.timer, clock_now() + STEP_NS); /* a core's last event is in its ring by then */
    return MONITOR_LATER;
}

static int command_on(uint32_t count, const char *const *words)
{
    (void)words;
    if (count != 1)
        return ERR_INVALID;
    if (dump.busy)
        monitor_print("error=busy");
    else if (!trace_on && trace_start(0))
        monitor_print("error=no-memory");
    else
        monitor_print("tracing=on events=%llu",
                      (ull)(trace_ring_of(0)->mask + 1) / sizeof(struct trace_event));
    return 0;
}

static int command_off(uint32_t count, const char *const *words)
{
    (void)words;
    if (count != 1)
        return ERR_INVALID;
    dump.goes_on = false;
    trace_stop();
    monitor_print("tracing=off");
    return 0;
}

int commands_trace_init(void)
{
    static const struct monitor_command commands[] = {
        {"tracing on", "", "notes exits, injections and switches on each core from now on", command_on},
        {"tracing off", "", "ends that, and keeps what was noted", command_off},
        {"tracing dump", "[EVENTS]",
         "shows what was noted, all or the newest of each core; tests/trace reads it", command_dump},
    };

    return monitor_register(commands, ARRAY_SIZE(commands));
}
