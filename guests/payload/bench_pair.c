/* What two CPUs do with each other. Their TSCs agree, so that one's handler can be timed from the other's order. */
#include "core/lib/string.h"
#include "guests/payload/bench.h"
#include "guests/payload/smp.h"

#define PING      0x92
#define PONG      0x93
#define SETTLE_US 20

static volatile uint64_t ping_tsc, pong_tsc;
static volatile bool over, echo;

static void ping_handler(struct trap_frame *f)
{
    (void)f;
    ping_tsc = rdtsc();
    lapic_write(LAPIC_EOI, 0);
    if (echo)
        ipi_send(0, ICR_ASSERT | PONG);
}

static void pong_handler(struct trap_frame *f)
{
    (void)f;
    pong_tsc = rdtsc();
    lapic_write(LAPIC_EOI, 0);
}

static void job_listen(uint32_t cpu)
{
    (void)cpu;
    __asm__ volatile("sti");
    while (!over)
        cpu_pause();
    __asm__ volatile("cli");
}

/* To its handler on the other CPU, which is running or halted by now; and what sending it takes this one. */
static void pair_ipi(const char *name, const char *send)
{
    struct tally t = TALLY_NONE, sent = TALLY_NONE;

    for (int run = 0; run < BENCH_WARM_UP + BENCH_RUNS; run++) {
        uint64_t start, end;

        delay_us(SETTLE_US);
        ping_tsc = 0;
        start = rdtsc();
        ipi_send(1, ICR_ASSERT | PING);
        end = rdtsc();
        while (!ping_tsc)
            cpu_pause();
        if (run >= BENCH_WARM_UP) {
            tally_add(&t, ping_tsc - start);
            tally_add(&sent, end - start);
        }
    }
    tally_print(name, &t);
    tally_print(send, &sent);
}

/*
 * With two cores a tick needn't be an instruction. What the same operation costs while the other CPU does what it does in the
 * measurement says how many ticks one is.
 */
static void pair_both(void)
{
    over = false;
    smp_begin(1, job_listen);
    delay_us(SETTLE_US);
    BENCH("cpuid-beside-running", cpuid(0, 0));
    pair_ipi("ipi-running", "ipi-running-send");
    over = true;
    if (!smp_end(1))
        check("bench.ends", false);
    delay_us(SETTLE_US);
    BENCH("cpuid-beside-halted", cpuid(0, 0));
    pair_ipi("ipi-halted", "ipi-halted-send");
}

/* There and back: each sends, then halts; the one core takes turns. */
static void pair_switch(void)
{
    struct tally there = TALLY_NONE, back = TALLY_NONE;

    echo = true;
    for (int run = 0; run < BENCH_WARM_UP + BENCH_RUNS; run++) {
        uint64_t start;

        ping_tsc = pong_tsc = 0;
        start = rdtsc();
        ipi_send(1, ICR_ASSERT | PING);
        while (!pong_tsc)
            __asm__ volatile("sti; hlt; cli" ::: "memory");
        if (run >= BENCH_WARM_UP) {
            tally_add(&there, ping_tsc - start);
            tally_add(&back, pong_tsc - ping_tsc);
        }
    }
    tally_print("ipi-switch", &there);
    tally_print("ipi-switch-back", &back);
}

void bench_pair_run(const char *kind)
{
    expect("bench.cpus", smp_start(2), 2);
    trap_handlers[PING] = ping_handler;
    trap_handlers[PONG] = pong_handler;
    if (cpu_has(1, 2, 21))
        smp_set_x2apic(true);
    bench_overhead();
    if (str_starts(kind, "switch"))
        pair_switch();
    else
        pair_both();
}
