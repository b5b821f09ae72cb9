/* Hyper-V's interface (TLFS): hypercall page, clocks, LAPIC registers as MSRs, synthetic interrupts and timers. */
#include "guests/payload/pv.h"

#include "core/event.h"
#include "core/lib/string.h"

#define LEAF             0x40000000
#define MSR_OS_ID        0x40000000
#define MSR_HYPERCALL    0x40000001
#define MSR_VP_INDEX     0x40000002
#define MSR_COUNTER      0x40000020
#define MSR_TSC_PAGE     0x40000021
#define MSR_TSC_HZ       0x40000022
#define MSR_APIC_HZ      0x40000023
#define MSR_EOI          0x40000070
#define MSR_ICR          0x40000071
#define MSR_TPR          0x40000072
#define MSR_ASSIST       0x40000073
#define MSR_CONTROL      0x40000080
#define MSR_VERSION      0x40000081
#define MSR_MESSAGES     0x40000083
#define MSR_EOM          0x40000084
#define MSR_SINT         0x40000090
#define MSR_TIMER_CONFIG 0x400000b0
#define MSR_TIMER_COUNT  0x400000b1
#define HINT_APIC_MSRS   BIT(3)

#define NO_MEMORY 0xfd000000ull
#define VECTOR    0x59
#define AUTO_EOI  0x5b /* of the same class */
#define SINT      2
#define AUTO_SINT 3
#define MS        10000 /* of reference time */
#define TIMER_ON  BIT(0)
#define PERIODIC  BIT(1)
#define AUTO      BIT(3)
#define DIRECT    (BIT(12) | VECTOR << 4)
#define TO_SINT   (SINT << 16)
#define EXPIRED   0x80000010

static uint8_t code[PAGE_SIZE] __attribute__((aligned(4096)));
static volatile uint64_t tsc_page[PAGE_SIZE / 8] __attribute__((aligned(4096)));
static volatile uint32_t assist[PAGE_SIZE / 4] __attribute__((aligned(4096)));
static volatile uint32_t messages[16][64] __attribute__((aligned(4096)));

static bool is_hyperv(void)
{
    struct cpuid_regs r = cpuid(LEAF, 0);

    return r.ebx == 0x7263694d && r.ecx == 0x666f736f && r.edx == 0x76482074;
}

static void test_absent(void)
{
    static const uint32_t msrs[] = {MSR_OS_ID, MSR_HYPERCALL, MSR_VP_INDEX, MSR_COUNTER,     MSR_TSC_PAGE,
                                    MSR_EOI,   MSR_CONTROL,   MSR_SINT,     MSR_TIMER_CONFIG};
    uint64_t value, there = 0;

    for (size_t i = 0; i < ARRAY_SIZE(msrs); i++)
        there += rdmsr_trap(msrs[i], &value) != EXC_GP || wrmsr_trap(msrs[i], 0) != EXC_GP;
    expect("hv.absent", there, 0);
}

/* -- hypercalls ----------------------------------------------------------------------------------------------------- */

static uint64_t call(uint64_t input)
{
    uint64_t result;

    __asm__ volatile("call *%2" : "=a"(result), "+c"(input) : "r"(code), "d"(0) : "memory", "r8");
    return result;
}

static void test_hypercall(void)
{
    uint64_t value, at = (uint64_t)code | 1;

    wrmsr(MSR_HYPERCALL, at);
    expect("hv.call-before-id", rdmsr(MSR_HYPERCALL) & 1, 0);
    expect("hv.call-undefined", on_intel ? TRAP_OF("vmcall") : TRAP_OF("vmmcall"), EXC_UD);
    wrmsr(MSR_OS_ID, 0x8100ull << 48);
    expect("hv.call-nowhere", wrmsr_trap(MSR_HYPERCALL, NO_MEMORY | 1), EXC_GP);
    expect("hv.call-page", wrmsr_trap(MSR_HYPERCALL, at), NO_TRAP);
    expect("hv.call-page-read", rdmsr_trap(MSR_HYPERCALL, &value) == NO_TRAP ? value : 0, at);
    expect("hv.call-unknown", call(0x7fff), 2);
    expect("hv.call-spin", call(8), 0);
    wrmsr(MSR_OS_ID, 0);
    expect("hv.call-off", rdmsr(MSR_HYPERCALL) & 1, 0);
    expect("hv.index", rdmsr(MSR_VP_INDEX), 0);
}

/* -- clocks --------------------------------------------------------------------------------------------------------- */

static uint64_t page_time(void)
{
    return (uint64_t)((unsigned __int128)rdtsc() * tsc_page[1] >> 64) + tsc_page[2];
}

/* By how much the page is beside the counter, which was read before and after it. */
static uint64_t page_error(void)
{
    uint64_t before = rdmsr(MSR_COUNTER), page = page_time(), after = rdmsr(MSR_COUNTER);

    return page + 1 < before ? before - page : page > after + 1 ? page - after : 0;
}

static void test_clocks_of(void)
{
    uint64_t start = rdmsr(MSR_COUNTER), tsc = rdtsc();

    delay_us(2000);
    expect_range("hv.counter",
                 (rdmsr(MSR_COUNTER) - start) * 1000 / ((rdtsc() - tsc) * 10000 / (tsc_hz / 1000)), 970,
                 1030);
    expect_range("hv.tsc-hz", rdmsr(MSR_TSC_HZ) / (tsc_hz / 1000), 970, 1030);
    expect_range("hv.apic-hz", rdmsr(MSR_APIC_HZ) / (lapic_hz / 1000), 970, 1030);
    expect("hv.counter-read-only", wrmsr_trap(MSR_COUNTER, 0), EXC_GP);
    expect("hv.page-nowhere", wrmsr_trap(MSR_TSC_PAGE, NO_MEMORY | 1), EXC_GP);
    expect("hv.page", wrmsr_trap(MSR_TSC_PAGE, (uint64_t)tsc_page | 1), NO_TRAP);
    check("hv.page-valid", (uint32_t)tsc_page[0] != 0);
    expect("hv.page-is-counter", page_error(), 0);
    wrmsr(MSR_TSC_ADJUST, 1ull << 40);
    expect("hv.page-moved", page_error(), 0);
    wrmsr(MSR_TSC_ADJUST, 0);
    expect("hv.page-moved-back", page_error(), 0);
    wrmsr(MSR_TSC_PAGE, 0);
}

/* -- the LAPIC ------------------------------------------------------------------------------------------------------ */

static volatile uint32_t taken, left_out;

static void handler(struct trap_frame *f)
{
    bool set;

    (void)f;
    taken++;
    __asm__ volatile("btrl $0, %0" : "+m"(assist[0]), "=@ccc"(set) : : "memory");
    if (set)
        left_out++;
    else
        wrmsr(MSR_EOI, 0);
}

static void let_in(void)
{
    __asm__ volatile("sti; nop; nop; nop; cli" ::: "memory");
}

static void test_apic(const char *tpr, const char *icr, const char *eoi)
{
    uint64_t value;

    wrmsr(MSR_TPR, 0x20);
    expect(tpr, rdmsr(MSR_TPR) | (uint64_t)lapic_read(LAPIC_TPR) << 8, 0x2020);
    wrmsr(MSR_TPR, 0);
    taken = 0;
    wrmsr(MSR_ICR, VECTOR | ICR_SELF);
    let_in();
    wrmsr(MSR_ICR, VECTOR | ICR_SELF);
    let_in();
    expect(icr, taken, 2);
    expect(eoi,
           rdmsr_trap(MSR_ICR, &value) == NO_TRAP && lapic_read(LAPIC_ISR + VECTOR / 32) == 0 ? value & 0xff
                                                                                              : 0,
           VECTOR);
}

static void test_assist(void)
{
    bool used = cpuid(LEAF + 4, 0).eax & HINT_APIC_MSRS;

    assist[0] = 0xff;
    expect("hv.assist-nowhere", wrmsr_trap(MSR_ASSIST, NO_MEMORY | 1), EXC_GP);
    expect("hv.assist", wrmsr_trap(MSR_ASSIST, (uint64_t)assist | 1), NO_TRAP);
    expect("hv.assist-clear", assist[0], 0);
    left_out = 0;
    test_apic("hv.tpr-again", "hv.icr-again", "hv.eoi-again");
    expect("hv.eoi-left-out", left_out, used ? 2 : 0);
    wrmsr(MSR_ASSIST, 0);
    expect("hv.assist-off", assist[0], 0);
}

/* -- timers --------------------------------------------------------------------------------------------------------- */

static bool taken_within(uint32_t count, uint64_t ticks)
{
    uint64_t end = rdmsr(MSR_COUNTER) + ticks;

    while (taken < count && rdmsr(MSR_COUNTER) < end)
        __asm__ volatile("sti; nop; nop; cli" ::: "memory");
    return taken >= count;
}

static void test_direct(void)
{
    uint64_t start = rdmsr(MSR_COUNTER);

    taken = 0;
    wrmsr(MSR_TIMER_CONFIG, DIRECT | AUTO);
    wrmsr(MSR_TIMER_COUNT, start + 2 * MS);
    expect("hv.timer-on", rdmsr(MSR_TIMER_CONFIG) & TIMER_ON, TIMER_ON);
    __asm__ volatile("sti; hlt; cli" ::: "memory");
    check("hv.timer-not-early", rdmsr(MSR_COUNTER) >= start + 2 * MS);
    expect("hv.timer", taken, 1);
    expect("hv.timer-off", rdmsr(MSR_TIMER_CONFIG) & TIMER_ON, 0);
    wrmsr(MSR_TIMER_COUNT, start);
    check("hv.timer-past", taken_within(2, 50 * MS));
    wrmsr(MSR_TIMER_CONFIG, DIRECT | PERIODIC);
    wrmsr(MSR_TIMER_COUNT, MS);
    start = rdmsr(MSR_COUNTER);
    taken = 0;
    wrmsr(MSR_TIMER_CONFIG, DIRECT | PERIODIC | TIMER_ON);
    check("hv.timer-periodic", taken_within(5, 500 * MS));
    check("hv.timer-period", rdmsr(MSR_COUNTER) - start >= 5 * MS);
    wrmsr(MSR_TIMER_COUNT, 0);
    expect("hv.timer-stopped", rdmsr(MSR_TIMER_CONFIG) & TIMER_ON, 0);
    wrmsr(MSR_TIMER_CONFIG, TIMER_ON);
    expect("hv.timer-to-nowhere", rdmsr(MSR_TIMER_CONFIG) & TIMER_ON, 0);
}

/* Messages wait for their slot: the second comes when the guest says that it has read the first. */
static void test_messages(void)
{
    volatile uint32_t *slot = messages[SINT];
    uint64_t start = rdmsr(MSR_COUNTER);

    expect("hv.sint-masked", rdmsr(MSR_SINT + SINT), BIT(16));
    expect("hv.sint-vector", wrmsr_trap(MSR_SINT + SINT, 15), EXC_GP);
    expect("hv.messages-nowhere", wrmsr_trap(MSR_MESSAGES, NO_MEMORY | 1), EXC_GP);
    wrmsr(MSR_CONTROL, 1);
    wrmsr(MSR_MESSAGES, (uint64_t)messages | 1);
    wrmsr(MSR_SINT + SINT, VECTOR);
    taken = 0;
    wrmsr(MSR_TIMER_CONFIG + 2, TO_SINT | AUTO);
    wrmsr(MSR_TIMER_COUNT + 2, start);
    check("hv.message-irq", taken_within(1, 50 * MS));
    expect("hv.message-type", slot[0], EXPIRED);
    expect("hv.message-size", slot[1], 24);
    expect("hv.message-timer", slot[4], 1);
    expect("hv.message-due", *(volatile uint64_t *)&slot[6], start);
    check("hv.message-time", *(volatile uint64_t *)&slot[8] >= start);
    wrmsr(MSR_TIMER_COUNT + 2, start + 1);
    (void)taken_within(2, MS);
    expect("hv.message-waits", taken, 1);
    expect("hv.message-pending", slot[1] >> 8, 1);
    slot[0] = 0;
    wrmsr(MSR_EOM, 0);
    check("hv.message-second", taken_within(2, 50 * MS));
    expect("hv.message-second-due", *(volatile uint64_t *)&slot[6], start + 1);
    wrmsr(MSR_MESSAGES, 0);
    wrmsr(MSR_CONTROL, 0);
}

/* -- automatic EOI -------------------------------------------------------------------------------------------------- */

static volatile uint32_t taken_auto, serviced;

static void auto_handler(struct trap_frame *f)
{
    (void)f;
    taken_auto++;
    serviced = lapic_read(LAPIC_ISR + AUTO_EOI / 32);
}

static void send(uint8_t vector)
{
    wrmsr(MSR_ICR, vector | ICR_SELF);
}

/* How many were taken of each, and whether any is in service or waits. */
static uint32_t tally(void)
{
    uint32_t reg = VECTOR / 32, left = lapic_read(LAPIC_ISR + reg) | lapic_read(LAPIC_IRR + reg);

    return taken | taken_auto << 8 | (left != 0) << 16;
}

static void begin(void)
{
    taken = taken_auto = 0;
    serviced = 0;
}

/* Its handler writes no EOI: it comes again all the same, others of its class do, and none is ever in service. */
static void test_auto_taken(const char *again, const char *others)
{
    begin();
    for (uint32_t i = 0; i < 3; i++) {
        send(AUTO_EOI);
        let_in();
    }
    expect(again, tally() | serviced << 24, 0x300);
    begin();
    send(VECTOR);
    send(AUTO_EOI);
    let_in();
    let_in();
    expect(others, tally() | serviced << 24, 0x101);
}

/* What waits behind TPR is taken as soon as that is lowered. */
static void test_auto_tpr(const char *waits, const char *by_cr8, const char *by_register)
{
    begin();
    (void)cr8_trap(5);
    send(AUTO_EOI);
    let_in();
    expect(waits, taken_auto, 0);
    (void)cr8_trap(0);
    let_in();
    expect(by_cr8, tally(), 0x100);
    lapic_write(LAPIC_TPR, 0x50);
    send(AUTO_EOI);
    let_in();
    lapic_write(LAPIC_TPR, 0);
    let_in();
    expect(by_register, tally(), 0x200);
}

/* One that waits while a source asks for it, or doesn't any more. */
static void test_auto_begins(const char *begins, const char *ends)
{
    begin();
    send(VECTOR);
    wrmsr(MSR_SINT + AUTO_SINT, AUTO_EOI | BIT(17));
    let_in();
    send(VECTOR);
    let_in();
    expect(begins, tally(), 2);
    begin();
    send(VECTOR);
    wrmsr(MSR_SINT + AUTO_SINT, AUTO_EOI | BIT(16) | BIT(17)); /* a masked one asks for nothing */
    let_in();
    send(AUTO_EOI);
    let_in();
    expect(ends, tally(), 0x10101);
    lapic_write(LAPIC_EOI, 0);
}

static void test_auto_eoi(void)
{
    trap_handlers[AUTO_EOI] = auto_handler;
    test_auto_begins("hv.auto-eoi-begins", "hv.auto-eoi-ends");
    expect("hv.auto-eoi", wrmsr_trap(MSR_SINT + AUTO_SINT, AUTO_EOI | BIT(17)), NO_TRAP);
    expect("hv.auto-eoi-read", rdmsr(MSR_SINT + AUTO_SINT), AUTO_EOI | BIT(17));
    test_auto_taken("hv.auto-eoi-again", "hv.auto-eoi-others");
    test_auto_tpr("hv.auto-eoi-waits", "hv.auto-eoi-cr8", "hv.auto-eoi-tpr");
    if (cpu_has(1, 2, 21)) {
        x2apic_enter();
        test_auto_taken("hv.auto-eoi-again-x2apic", "hv.auto-eoi-others-x2apic");
        test_auto_tpr("hv.auto-eoi-waits-x2apic", "hv.auto-eoi-cr8-x2apic", "hv.auto-eoi-tpr-x2apic");
        test_auto_begins("hv.auto-eoi-begins-x2apic", "hv.auto-eoi-ends-x2apic");
        x2apic_leave();
    }
    wrmsr(MSR_SINT + AUTO_SINT, AUTO_EOI | BIT(17));
    wrmsr(MSR_TIMER_CONFIG + 2, AUTO_SINT << 16 | AUTO);
    wrmsr(MSR_CONTROL, 1);
    wrmsr(MSR_MESSAGES, (uint64_t)messages | 1);
    begin();
    wrmsr(MSR_TIMER_COUNT + 2, rdmsr(MSR_COUNTER) + MS);
    __asm__ volatile("sti; hlt; cli" ::: "memory");
    expect("hv.auto-eoi-timer", tally(), 0x100);
    wrmsr(MSR_MESSAGES, 0);
    wrmsr(MSR_CONTROL, 0);
    wrmsr(MSR_SINT + AUTO_SINT, BIT(16));
}

void test_hv(void)
{
    if (!on_keel) {
        skip("hv", "not on Keel");
        return;
    }
    if (!is_hyperv()) {
        test_absent();
        return;
    }
    expect("hv.leaves", cpuid(LEAF, 0).eax, LEAF + 5);
    expect("hv.conforms", cpuid(LEAF + 1, 0).eax, 0x31237648);
    expect("hv.version", rdmsr(MSR_VERSION), 1);
    trap_handlers[VECTOR] = handler;
    test_hypercall();
    test_clocks_of();
    test_apic("hv.tpr", "hv.icr", "hv.eoi");
    test_assist();
    if (cpu_has(1, 2, 21)) {
        x2apic_enter();
        test_apic("hv.tpr-x2apic", "hv.icr-x2apic", "hv.eoi-x2apic");
        x2apic_leave();
    }
    test_direct();
    test_messages();
    test_auto_eoi();
}
