/*
 * What operations cost, as the guest's TSC sees it. Under instruction counting a tick is an instruction (or a fixed number
 * of them). The same operations run bare, on Keel and on its peer.
 */
#include "guests/payload/bench.h"

#include "core/event.h"

#define FIRST_TOUCH   0x1000000ull /* nobody has used the memory from here on */
#define NOTHING       0xfd000000ull
#define DEADLINE_SOON 20000
#define DEADLINE_FAR  (1ull << 40)
#define UART_LINE     0x3fd
#define RTC_DATA      0x71
#define PCI_DATA      0xcfc
#define POST_PORT     0x80
#define STRING_BYTES  64
#define DR7_FIXED     0x400ull

static uint64_t overhead;

void tally_print(const char *name, const struct tally *t)
{
    print("bench %s=%llu mean=%llu", name, (unsigned long long)(t->least - overhead),
          (unsigned long long)(t->sum / BENCH_RUNS - overhead));
}

void bench_overhead(void)
{
    struct tally t = TALLY_NONE;

    MEASURE(&t, __asm__ volatile(""))
    overhead = t.least;
    print("bench empty=%llu", (unsigned long long)overhead);
}

/* -- instructions ------------------------------------------------------------------------------------------------ */

static void bench_hypercall(void)
{
    if (!on_keel && !on_kvm)
        return;
    if (on_intel)
        BENCH("hypercall", __asm__ volatile("vmcall" : : "a"(0x7fffffff) : "memory"));
    else
        BENCH("hypercall", __asm__ volatile("vmmcall" : : "a"(0x7fffffff) : "memory"));
}

static void bench_msrs(void)
{
    BENCH("rdmsr-apic-base", rdmsr(MSR_APIC_BASE));
    BENCH("rdmsr-pat", rdmsr(MSR_PAT));
    if (cpu_has(7, 1, 1)) {
        BENCH("rdmsr-tsc-adjust", rdmsr(MSR_TSC_ADJUST));
        BENCH("wrmsr-tsc-adjust", wrmsr(MSR_TSC_ADJUST, 0));
    }
    BENCH("wrmsr-efer", wrmsr(MSR_EFER, rdmsr(MSR_EFER) ^ EFER_SCE));
}

static void bench_xsetbv(void)
{
    uint64_t cr4 = read_cr4();

    if (!cpu_has(1, 2, 26))
        return;
    write_cr4(cr4 | CR4_OSXSAVE);
    BENCH("xsetbv", xsetbv(0, 1));
    write_cr4(cr4);
}

static void bench_instructions(void)
{
    BENCH("cpuid", cpuid(0, 0));
    bench_hypercall();
    bench_msrs();
    bench_xsetbv();
    BENCH("pause", cpu_pause());
    BENCH("wbinvd", wbinvd());
    BENCH("invlpg", invlpg((const void *)ARENA));
    BENCH("cr0-wp", write_cr0(read_cr0() ^ CR0_WP));
    BENCH("cr0-ts", write_cr0(read_cr0() ^ CR0_TS));
    BENCH("clts", __asm__ volatile("clts"));
    BENCH("cr3", write_cr3(read_cr3()));
    BENCH("cr4-pge", write_cr4(read_cr4() ^ CR4_PGE));
    BENCH("dr-read", read_dr6());
    BENCH("dr-write", write_dr7(DR7_FIXED));
}

/* -- memory ------------------------------------------------------------------------------------------------------ */

static uint64_t fault_next;

static void fault_handler(struct trap_frame *f)
{
    f->rip = fault_next;
}

/* A page that isn't there: to the guest's own handler, and on behind the access. */
static void bench_page_fault(void)
{
    uint64_t old = page_set(ARENA, 0);

    trap_handlers[EXC_PF] = fault_handler;
    BENCH("page-fault", __asm__ volatile("lea 1f(%%rip), %%rax\n\tmov %%rax, %0\n\tmovl (%1), %%eax\n1:"
                                         : "=m"(fault_next)
                                         : "r"(ARENA)
                                         : "rax", "memory"));
    trap_handlers[EXC_PF] = NULL;
    page_set(ARENA, old);
}

/* Each page of the guest's memory is touched for the first time: what the hypervisor hasn't mapped costs a fault there. */
static void bench_first_touch(void)
{
    volatile uint8_t *at = (volatile uint8_t *)FIRST_TOUCH;

    BENCH("first-touch", *at = 1; at += 4096);
}

static void bench_memory(void)
{
    bench_page_fault();
    bench_first_touch();
    BENCH("mmio-nothing", (void)*(volatile uint32_t *)NOTHING);
}

/* -- devices ----------------------------------------------------------------------------------------------------- */

static void string_out(void)
{
    uint64_t count = STRING_BYTES, from = ARENA;

    __asm__ volatile("rep outsb" : "+c"(count), "+S"(from) : "d"(POST_PORT) : "memory");
}

static void bench_ports(void)
{
    BENCH("port-pic", inb(0x21));
    BENCH("port-pic-out", outb(0x21, 0xff));
    BENCH("port-pit", inb(0x61));
    BENCH("port-pit-count", inb(0x40));
    if (acpi_pm_timer)
        BENCH("port-pm-timer", inl((uint16_t)acpi_pm_timer));
    BENCH("port-rtc", inb(RTC_DATA));
    BENCH("port-pci", inl(PCI_DATA));
    BENCH("port-uart", inb(UART_LINE));
    BENCH("port-unclaimed", inb(0x5a0));
    BENCH("port-string-64", string_out());
}

static void bench_mmio(void)
{
    BENCH("mmio-lapic-read", (void)LAPIC_MMIO[LAPIC_VERSION * 4]);
    BENCH("mmio-lapic-write", LAPIC_MMIO[LAPIC_TPR * 4] = 0);
    BENCH("mmio-lapic-eoi", LAPIC_MMIO[LAPIC_EOI * 4] = 0);
    BENCH("mmio-ioapic-read", (void)IOAPIC_MMIO[4]);
    BENCH("mmio-ioapic-write", IOAPIC_MMIO[0] = 0);
}

/* -- interrupts -------------------------------------------------------------------------------------------------- */

static volatile uint64_t irq_taken;

static void note_handler(struct trap_frame *f)
{
    (void)f;
    irq_taken = rdtsc();
    lapic_write(LAPIC_EOI, 0);
}

/* From before the write that sends it to the handler's first look at the TSC; `halt`: from HLT. */
static void bench_self_ipi(const char *name, bool halt)
{
    struct tally t = TALLY_NONE;

    trap_handlers[BENCH_VECTOR] = note_handler;
    for (int run = 0; run < BENCH_WARM_UP + BENCH_RUNS; run++) {
        uint64_t start;

        irq_taken = 0;
        if (!halt)
            __asm__ volatile("sti");
        start = rdtsc();
        lapic_write(LAPIC_ICR, BENCH_VECTOR | ICR_SELF);
        if (halt)
            __asm__ volatile("sti; hlt; cli" ::: "memory");
        while (!irq_taken)
            cpu_pause();
        __asm__ volatile("cli");
        if (run >= BENCH_WARM_UP)
            tally_add(&t, irq_taken - start);
    }
    tally_print(name, &t);
}

/* How late the handler is, beyond the deadline; `halt`: in HLT until then, with nothing else to run. */
static void bench_deadline(const char *name, bool halt)
{
    struct tally t = TALLY_NONE;

    trap_handlers[BENCH_VECTOR] = note_handler;
    lapic_write(LAPIC_TIMER, LVT_DEADLINE | BENCH_VECTOR);
    for (int run = 0; run < BENCH_WARM_UP + BENCH_RUNS; run++) {
        uint64_t deadline = rdtsc() + DEADLINE_SOON;

        irq_taken = 0;
        wrmsr(MSR_TSC_DEADLINE, deadline);
        while (halt && !irq_taken)
            __asm__ volatile("sti; hlt; cli" ::: "memory");
        __asm__ volatile("sti");
        while (!irq_taken)
            cpu_pause();
        __asm__ volatile("cli");
        if (run >= BENCH_WARM_UP)
            tally_add(&t, irq_taken - deadline);
    }
    lapic_write(LAPIC_TIMER, LVT_MASKED | BENCH_VECTOR);
    tally_print(name, &t);
}

static void bench_timers(void)
{
    BENCH("lapic-timer-arm", lapic_write(LAPIC_INITIAL, 0xffffffff));
    lapic_write(LAPIC_INITIAL, 0);
    if (!cpu_has(1, 2, 24))
        return;
    bench_deadline("deadline-to-handler", false);
    bench_deadline("deadline-wakes", true);
    lapic_write(LAPIC_TIMER, LVT_DEADLINE | BENCH_VECTOR);
    BENCH("wrmsr-tsc-deadline", wrmsr(MSR_TSC_DEADLINE, rdtsc() + DEADLINE_FAR));
    wrmsr(MSR_TSC_DEADLINE, 0);
    lapic_write(LAPIC_TIMER, LVT_MASKED | BENCH_VECTOR);
}

static void bench_x2apic(void)
{
    if (!cpu_has(1, 2, 21))
        return;
    x2apic_enter();
    BENCH("x2apic-read", rdmsr(MSR_X2APIC_BASE + LAPIC_VERSION));
    BENCH("x2apic-tpr-write", wrmsr(MSR_X2APIC_BASE + LAPIC_TPR, 0));
    BENCH("x2apic-eoi", wrmsr(MSR_X2APIC_BASE + LAPIC_EOI, 0));
    bench_self_ipi("x2apic-self-ipi", false);
    bench_self_ipi("x2apic-self-ipi-hlt", true);
    x2apic_leave();
}

void bench_common(void)
{
    bench_overhead();
    BENCH("cpuid", cpuid(0, 0));
    BENCH("rdmsr-apic-base", rdmsr(MSR_APIC_BASE));
    BENCH("port-pic", inb(0x21));
    BENCH("mmio-ioapic-read", (void)IOAPIC_MMIO[4]);
    bench_x2apic();
    bench_timers();
}

void bench_run(void)
{
    print("bench tsc-hz=%llu", (unsigned long long)tsc_hz);
    bench_overhead();
    bench_instructions();
    bench_memory();
    bench_ports();
    bench_mmio();
    bench_self_ipi("self-ipi", false);
    bench_self_ipi("self-ipi-hlt", true);
    bench_timers();
    bench_x2apic();
}
