/* KVM's paravirtual interface: clocks, steal time, EOI through memory, hypercalls. Without it, none of its MSRs is there. */
#include "guests/payload/pv.h"

#include "core/event.h"

#define SIGNATURE_LEAF 0x40000000
#define NO_MEMORY      0xfd000000ull
#define VECTOR         0x58
#define VECTOR_BEHIND  0x54 /* of the same class */
#define CLOCK_US       2000

struct pv_clock {
    volatile uint32_t version, pad;
    volatile uint64_t tsc, ns;
    volatile uint32_t mul;
    volatile int8_t shift;
    volatile uint8_t flags, pad2[2];
} __attribute__((aligned(32)));

static struct pv_clock clock;
static volatile uint32_t wall[4];
static volatile struct pv_steal steal;
static volatile uint32_t eoi_flag;

uint32_t pv_features(void)
{
    struct cpuid_regs r = cpuid(SIGNATURE_LEAF, 0);

    return r.ebx == 0x4b4d564b && r.ecx == 0x564b4d56 && r.edx == 0x4d ? cpuid(SIGNATURE_LEAF + 1, 0).eax : 0;
}

uint64_t pv_call(uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    if (on_intel)
        __asm__ volatile("vmcall" : "+a"(number) : "b"(a), "c"(b), "d"(c), "S"(d) : "memory");
    else
        __asm__ volatile("vmmcall" : "+a"(number) : "b"(a), "c"(b), "d"(c), "S"(d) : "memory");
    return number;
}

static void test_absent(void)
{
    uint64_t value, there = 0;

    for (uint32_t msr = MSR_KVM_FIRST; msr <= MSR_KVM_POLL_CONTROL; msr++)
        there += rdmsr_trap(msr, &value) != EXC_GP || wrmsr_trap(msr, 0) != EXC_GP;
    expect("pv.absent", there, 0);
}

/* What takes the address of something: bits that it doesn't know, and memory that there isn't, take #GP. */
static void test_address(const char *name, uint32_t msr, uint64_t reserved, volatile void *good)
{
    uint64_t value, at = (uint64_t)good | 1, wrong = 0;

    wrong += wrmsr_trap(msr, NO_MEMORY | 1) != EXC_GP;
    wrong += wrmsr_trap(msr, 1ull << 52 | 1) != EXC_GP;
    wrong += wrmsr_trap(msr, at | reserved) != EXC_GP;
    wrong += wrmsr_trap(msr, at) != NO_TRAP;
    wrong += rdmsr_trap(msr, &value) != NO_TRAP || value != at;
    expect(name, wrong, 0);
}

/* -- clocks ------------------------------------------------------------------------------------------------------- */

static uint64_t clock_ns(uint64_t tsc)
{
    uint64_t ticks = tsc - clock.tsc;

    ticks = clock.shift < 0 ? ticks >> -clock.shift : ticks << clock.shift;
    return clock.ns + (uint64_t)((unsigned __int128)ticks * clock.mul >> 32);
}

static void test_clock(void)
{
    uint64_t before, after, tsc;

    test_address("pv.clock-address", MSR_KVM_SYSTEM_TIME, 2, &clock);
    expect("pv.clock-version", clock.version & 1, 0);
    expect("pv.clock-stable", clock.flags, 1);
    tsc = rdtsc();
    before = clock_ns(tsc);
    delay_us(CLOCK_US);
    after = clock_ns(rdtsc());
    expect_range("pv.clock-ns", after - before, CLOCK_US * 970, CLOCK_US * 1000 * 1000);
    /* A tick a second is what the rounding of the factor may cost. */
    expect_range("pv.clock-rate", clock_ns(tsc + tsc_hz) - before, 970000000, 1030000000);
}

static uint32_t seconds_apart(uint32_t a, uint32_t b)
{
    uint32_t apart = (a + 60 - b) % 60;

    return MIN(apart, 60 - apart);
}

static void test_wall_clock(void)
{
    uint64_t now, value;
    uint32_t rtc;

    expect("pv.wall-unaligned", wrmsr_trap(MSR_KVM_WALL_CLOCK, (uint64_t)wall + 2), EXC_GP);
    expect("pv.wall-nowhere", wrmsr_trap(MSR_KVM_WALL_CLOCK, NO_MEMORY), EXC_GP);
    expect("pv.wall", wrmsr_trap(MSR_KVM_WALL_CLOCK, (uint64_t)wall), NO_TRAP);
    expect("pv.wall-read", rdmsr_trap(MSR_KVM_WALL_CLOCK, &value), NO_TRAP);
    expect("pv.wall-version", wall[0] & 1, 0);
    rtc = rtc_second();
    now = wall[1] + clock_ns(rdtsc()) / NS_PER_SEC;
    expect_range("pv.wall-is-rtc", seconds_apart((uint32_t)(now % 60), (rtc >> 4) * 10 + (rtc & 15)), 0, 1);
}

/* After its TSC was moved, the clock goes on. */
static void test_clock_moved(void)
{
    uint64_t before = clock_ns(rdtsc()), moved = 1ull << 40, after;

    wrmsr(MSR_TSC_ADJUST, moved);
    after = clock_ns(rdtsc());
    wrmsr(MSR_TSC_ADJUST, 0);
    expect_range("pv.clock-moved", after - before, 0, NS_PER_SEC);
    expect("pv.clock-off", wrmsr_trap(MSR_KVM_SYSTEM_TIME, 0), NO_TRAP);
}

/* -- the rest ----------------------------------------------------------------------------------------------------- */

static void test_steal(void)
{
    steal.preempted = 1;
    test_address("pv.steal-address", MSR_KVM_STEAL_TIME, 0x20, &steal);
    expect("pv.steal-version", steal.version & 1, 0);
    expect("pv.steal-runs", steal.preempted, 0);
    expect("pv.steal-off", wrmsr_trap(MSR_KVM_STEAL_TIME, 0), NO_TRAP);
}

static void test_poll(void)
{
    uint64_t value = 0;

    expect("pv.poll", rdmsr_trap(MSR_KVM_POLL_CONTROL, &value), NO_TRAP);
    expect("pv.poll-on", value, 1);
    expect("pv.poll-off", wrmsr_trap(MSR_KVM_POLL_CONTROL, 0), NO_TRAP);
    expect("pv.poll-reserved", wrmsr_trap(MSR_KVM_POLL_CONTROL, 2), EXC_GP);
    wrmsr(MSR_KVM_POLL_CONTROL, 1);
}

static volatile uint32_t left_out, written, eoi_kept;

static void eoi_end(void)
{
    bool set;

    __asm__ volatile("btrl $0, %0" : "+m"(eoi_flag), "=@ccc"(set) : : "memory");
    if (set) {
        left_out++;
        return;
    }
    written++;
    lapic_write(LAPIC_EOI, 0);
}

static void eoi_handler(struct trap_frame *f)
{
    (void)f;
    eoi_end();
}

/* One that comes while this one is in service has to wait, and can only follow an EOI that is seen. */
static void eoi_handler_with_another(struct trap_frame *f)
{
    (void)f;
    lapic_write(LAPIC_ICR, VECTOR_BEHIND | ICR_SELF);
    eoi_kept += eoi_flag & 1;
    eoi_end();
}

static void eoi_send(void)
{
    lapic_write(LAPIC_ICR, VECTOR | ICR_SELF);
    __asm__ volatile("sti; nop; nop; nop; cli" ::: "memory");
}

static void test_eoi(void)
{
    trap_handlers[VECTOR] = trap_handlers[VECTOR_BEHIND] = eoi_handler;
    eoi_send();
    test_address("pv.eoi-address", MSR_KVM_PV_EOI, 2, &eoi_flag);
    written = 0;
    for (int i = 0; i < 3; i++)
        eoi_send();
    expect("pv.eoi-left-out", left_out, 3);
    expect("pv.eoi-not-written", written, 0);
    expect("pv.eoi-isr", lapic_read(LAPIC_ISR + VECTOR / 32), 0);
    expect("pv.eoi-ppr", lapic_read(LAPIC_PPR), 0);
    trap_handlers[VECTOR] = eoi_handler_with_another;
    eoi_send();
    __asm__ volatile("sti; nop; nop; nop; cli" ::: "memory");
    expect("pv.eoi-wanted", eoi_kept, 0);
    expect("pv.eoi-written", written, 1);
    expect("pv.eoi-behind", left_out, 4);
    expect("pv.eoi-off", wrmsr_trap(MSR_KVM_PV_EOI, 0), NO_TRAP);
    trap_handlers[VECTOR] = eoi_handler;
    eoi_send();
    expect("pv.eoi-as-ever", written, 2);
}

static void test_calls(void)
{
    uint64_t value;

    irq_count(VECTOR, false);
    irq_counts[VECTOR] = 0;
    expect("pv.call-unknown", pv_call(0x7fffffff, 0, 0, 0, 0), (uint64_t)-1000);
    expect("pv.call-poll", pv_call(PV_CALL_POLL_IRQ, 0, 0, 0, 0), 0);
    expect("pv.ipi", pv_call(PV_CALL_IPI, 1, 0, 0, VECTOR), 1);
    expect("pv.ipi-high", pv_call(PV_CALL_IPI, 0, 1, 0, VECTOR), 0);
    expect("pv.ipi-nobody", pv_call(PV_CALL_IPI, UINT32_MAX, UINT64_MAX, UINT32_MAX, VECTOR), 0);
    expect("pv.ipi-bad", pv_call(PV_CALL_IPI, 1, 0, 0, VECTOR | ICR_SELF), (uint64_t)-22);
    expect("pv.ipi-comes", irq_wait(VECTOR, 1, 10), true);
    expect("pv.yield", pv_call(PV_CALL_YIELD, 0, 0, 0, 0), 0);
    /* With interrupts off and nothing to come, only the kick ends this. */
    expect("pv.kick", pv_call(PV_CALL_KICK, 0, 0, 0, 0), 0);
    __asm__ volatile("cli; hlt" ::: "memory");
    expect("pv.async-pf", rdmsr_trap(MSR_KVM_ASYNC_PF, &value), EXC_GP);
}

void test_pv(void)
{
    uint32_t features = pv_features();

    if (!on_keel) {
        skip("pv", "not on Keel");
        return;
    }
    if (!(features & PV_CLOCK)) {
        test_absent();
        return;
    }
    expect("pv.features", features & ~PV_EOI,
           0x01000000u | PV_CLOCK | PV_STEAL | PV_UNHALT | PV_TLB_FLUSH | PV_SEND_IPI | PV_POLL | PV_YIELD |
               2);
    test_clock();
    test_wall_clock();
    test_clock_moved();
    test_steal();
    test_poll();
    test_calls();
    if (features & PV_EOI)
        test_eoi();
    else
        expect("pv.eoi-absent", wrmsr_trap(MSR_KVM_PV_EOI, (uint64_t)&eoi_flag | 1), EXC_GP);
}
