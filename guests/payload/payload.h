/* What the tests share: how a result is reported, traps, and the machine's basic devices. Others than CPU 0: smp.h. */
#pragma once

#include "core/lib/types.h"
#include "core/x86/asm.h"
#include "core/x86/cr.h"
#include "core/x86/io.h"
#include "core/x86/msr.h"
#include "core/x86/traps.h"

/* Reports (report.c) -------------------------------------------------------------------------------------------- */

extern uint64_t first_tsc; /* read by the very first instruction */

void print(const char *fmt, ...) PRINTF(1, 2);
/* "ok NAME", or "not ok NAME: got .. want ..". */
void expect(const char *name, uint64_t got, uint64_t want);
void check(const char *name, bool good);
/* low <= got <= high */
void expect_range(const char *name, uint64_t got, uint64_t low, uint64_t high);
void skip(const char *name, const char *reason);
/* True if this machine's emulator is known to fail that test, whatever a hypervisor does (known.c). */
bool known_wrong(const char *name);
/* Prints the totals and switches the machine off; if it doesn't go off, halts. */
NORETURN void finish(void);

/* True if name is in the comma-separated list, which a space or the end closes (main.c). */
bool list_has(const char *list, const char *name);

/* Traps (trap.c) ------------------------------------------------------------------------------------------------ */

/* What the last trap that was expected left; count says how many there were since trap_begin. */
struct trap {
    uint32_t count;
    uint64_t vector, error, rip, rflags, cr2;
};

#define NO_TRAP 0x100

extern volatile struct trap trap;
extern volatile uint64_t trap_resume, trap_at, trap_stack;
/* Called for a vector instead of the expectation, if not NULL; interrupts have to have one. */
extern void (*trap_handlers[256])(struct trap_frame *frame);

void trap_init(void);
void trap_load(void); /* the same IDT, on another CPU */
void trap_begin(void);
/* A vector's gate, with which an event can't be delivered if it isn't present. */
void trap_gate(uint32_t vector, bool present);

/* The vector of the trap since trap_begin, or NO_TRAP. */
static inline uint64_t trap_vector(void)
{
    return trap.count ? trap.vector : NO_TRAP;
}

/* Assembly text around an instruction that may trap: a trap goes on at its end. Between trap_begin() and a look at trap. */
#define TRAPPING(insn)                                                                                       \
    "movq $1f, trap_resume\n\tmovq $0f, trap_at\n0:\t" insn "\n1:\tmovq $0, trap_resume\n\t"

/* Runs an instruction without operands and gives its vector. */
#define TRAP_OF(insn)                                                                                        \
    ({                                                                                                       \
        trap_begin();                                                                                        \
        __asm__ volatile(TRAPPING(insn)::: "memory", "rax", "rcx", "rdx", "rbx");                            \
        trap_vector();                                                                                       \
    })

/* The same in ring 3, on the kernel's stack. If the instruction doesn't trap, the one behind it does, with #UD. */
#define USER_TRAP_OF(insn)                                                                                   \
    ({                                                                                                       \
        trap_begin();                                                                                        \
        __asm__ volatile("movq $1f, trap_resume\n\tmovq $0f, trap_at\n\tmovq %%rsp, trap_stack\n\t"          \
                         "pushq $0x1b\n\tpushq trap_stack\n\tpushq $0x40002\n\tpushq $0x23\n\tpushq $0f\n\t" \
                         "iretq\n0:\t" insn "\n\tud2\n1:\tmovq $0, trap_resume\n\t" ::                       \
                             : "memory", "rax", "rcx", "rdx", "rbx");                                        \
        trap_vector();                                                                                       \
    })

/* MSR accesses that may trap give the vector. */
static inline uint64_t rdmsr_trap(uint32_t msr, uint64_t *value)
{
    uint32_t lo = 0, hi = 0;

    trap_begin();
    __asm__ volatile(TRAPPING("rdmsr") : "+a"(lo), "+d"(hi) : "c"(msr) : "memory");
    *value = (uint64_t)hi << 32 | lo;
    return trap_vector();
}

static inline uint64_t wrmsr_trap(uint32_t msr, uint64_t value)
{
    trap_begin();
    __asm__ volatile(TRAPPING("wrmsr")
                     :
                     : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
                     : "memory");
    return trap_vector();
}

/* Writes of control registers, likewise: cr0_trap(value) and so on. */
#define CR_TRAP(cr)                                                                                          \
    static inline uint64_t cr##_trap(uint64_t value)                                                         \
    {                                                                                                        \
        trap_begin();                                                                                        \
        __asm__ volatile(TRAPPING("mov %0, %%" #cr) : : "r"(value) : "memory");                              \
        return trap_vector();                                                                                \
    }

CR_TRAP(cr0)
CR_TRAP(cr3)
CR_TRAP(cr4)
CR_TRAP(cr8)

/* The machine (machine.c) --------------------------------------------------------------------------------------- */

#define CODE_SELECTOR        0x08
#define DATA_SELECTOR        0x10
#define NOT_PRESENT_SELECTOR 0x28

extern bool on_keel;  /* Keel's CPUID signature is there */
extern bool on_kvm;   /* KVM's, in the usual place */
extern bool on_tcg;   /* QEMU's own CPU, bare or under a hypervisor: it is known to be wrong in places */
extern bool on_intel; /* the vendor string */
extern uint64_t pml4[512], page_directory[2048];
extern uint64_t gdt[];
extern uint64_t tss[];
extern const char *cmdline;

/* Memory that tests may use freely: 2 MiB from here on, one page of the map. Two such pages follow. */
#define ARENA      0x400000ull
#define ARENA_NEXT (ARENA + SIZE_2M)

void machine_init(void);
bool cpu_has(uint32_t leaf, uint32_t reg, uint32_t bit); /* reg: 0 eax .. 3 edx */
/* Replaces the entry that maps address, and gives the old one. */
uint64_t page_set(uint64_t address, uint64_t entry);

/* The ports of the PM timer and PM1a control, from the FADT; 0: not found. */
extern uint32_t acpi_pm_timer, acpi_pm1a_control, acpi_s5_type;
void acpi_init(void);

/* Interrupts (interrupts.c) ------------------------------------------------------------------------------------- */

#define PIC_BASE       0x20 /* vectors of the PIC's lines */
#define LAPIC_ID       0x02 /* register numbers are those of x2APIC's MSRs: the MMIO offset is 16 times as much */
#define LAPIC_VERSION  0x03
#define LAPIC_TPR      0x08
#define LAPIC_PPR      0x0a
#define LAPIC_EOI      0x0b
#define LAPIC_SVR      0x0f
#define LAPIC_ISR      0x10
#define LAPIC_IRR      0x20
#define LAPIC_ICR      0x30
#define LAPIC_ICR_HIGH 0x31
#define LAPIC_TIMER    0x32
#define LAPIC_INITIAL  0x38
#define LAPIC_CURRENT  0x39
#define LAPIC_DIVIDE   0x3e

#define LVT_MASKED   BIT(16)
#define LVT_PERIODIC BIT(17)
#define LVT_DEADLINE BIT(18)
#define ICR_NMI      (4u << 8)
#define ICR_SELF     BIT(18)

#define LAPIC_MMIO  ((volatile uint32_t *)0xfee00000)
#define IOAPIC_MMIO ((volatile uint32_t *)0xfec00000)

extern volatile uint32_t irq_counts[256];
extern volatile uint64_t irq_rip; /* where the last counted interrupt hit */

void interrupts_init(void);
uint32_t lapic_read(uint32_t reg);
void lapic_write(uint32_t reg, uint32_t value);
/* Counts interrupts of a vector from now on, and ends them at the LAPIC, or at the PIC. */
void irq_count(uint8_t vector, bool pic);
void pic_mask(uint16_t mask); /* both chips */
/* Enters and leaves x2APIC mode; the way back goes through "disabled". */
void x2apic_enter(void);
void x2apic_leave(void);
bool lapic_is_x2apic(void);
/* Puts this CPU's LAPIC into the mode that the first CPU is in, and enables it. */
void lapic_join(void);
/* Waits with interrupts on until irq_counts[vector] is at least count, at most about ms milliseconds. */
bool irq_wait(uint8_t vector, uint32_t count, uint32_t ms);

/* Time (clocks.c) ----------------------------------------------------------------------------------------------- */

#define PIT_HZ      1193182ull
#define PM_TIMER_HZ 3579545ull

extern uint64_t tsc_hz, lapic_hz; /* measured against the PIT; the LAPIC timer's rate without divider */

/* Measured, or as CPUID says: for machines that are too busy to measure anything. */
void clocks_init(bool measure);
void pit_write(uint32_t channel, uint8_t mode, uint16_t count);
uint16_t pit_read(uint32_t channel);
void delay_us(uint64_t us); /* by the TSC */
uint32_t rtc_second(void);  /* in BCD */
void sleep_us(uint64_t us); /* in HLT, by the LAPIC timer */

/* The tests ----------------------------------------------------------------------------------------------------- */

void test_cpuid(void);
void test_msr(void);
void test_x2apic(void);
void test_ports(void);
void test_string_io(void);
void test_hlt(void);
void test_exceptions(void);
void test_delivery(void);
void test_nmi(void);
void test_debug(void);
void test_xsave(void);
void test_cache(void);
void test_cr(void);
void test_pcid(void);
void test_lapic(void);
void test_lapic_timer(void);
void test_ioapic(void);
void test_hpet(void);
void test_clocks(void);
void test_instructions(void);
void test_mode_walk(void);
void test_levels(void);
void test_real(void);
void test_mmio(void);
void test_stack(void);
NORETURN void fault_run(const char *kind);
/* `cpus` as the caller wants them, at least 1. */
void smp_run_tests(uint32_t cpus);
/* Says that it lives every period; then the end. */
void beat_run(uint32_t period_ms, uint32_t ms);
/* Against its own devices. */
void attack_run(uint32_t cpus);
/* Gives memory up and takes it again, as the balloon's target says. */
void balloon_run(void);
/* Reports memory to be free, and touches it in all ways. */
void holes_run(uint32_t cpus);
/* With another VM, over the memory that they share. */
void share_run(uint32_t cpus);
/* With another VM, by their socket devices; `other` is its number. */
void sockets_run(uint32_t other);
/* So many times: CPUID, RDMSR of the APIC base, IN from port 0x61, HLT until a timer's interrupt. */
void steps_run(uint32_t rounds);
/* How late so many timers are that wake it from HLT, in ticks of the TSC: the worst one at most twice the median. */
void late_run(uint32_t count);
/* All of the RAM: filled with a pattern, and looked through for it. */
void pattern_write(void);
void pattern_search(void);
/* Tries to keep a core, or the hypervisor, to itself for so long, in one way ("": in all); says how much it got done. */
void hog_run(const char *kinds, uint32_t cpus, uint32_t ms);
