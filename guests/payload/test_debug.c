/* Debug registers, breakpoints, and single steps over instructions that the hypervisor carries out. */
#include "guests/payload/payload.h"

#include "core/event.h"

#define DR6_FIXED    0xffff0ff0ull
#define DR6_B0       BIT(0)
#define DR6_BD       BIT(13)
#define DR7_FIXED    0x400ull
#define DR7_L0       BIT(0)
#define DR7_L1       BIT(2)
#define DR7_GD       BIT(13)
#define DR7_WRITE_4  (1ull << 16 | 3ull << 18)
#define UART_SCRATCH 0x3ff

/* What the #DB handler saw: it counts, and stops stepping when `steps` have been taken. */
static volatile uint32_t db_count, db_steps;
static volatile uint64_t db_rip[16], db_dr6[16];

static void db_handler(struct trap_frame *f)
{
    if (db_count < ARRAY_SIZE(db_rip)) {
        db_rip[db_count] = f->rip;
        db_dr6[db_count] = read_dr6();
    }
    db_count++;
    write_dr6(DR6_FIXED);
    if (db_count >= db_steps)
        f->rflags &= ~RFLAGS_TF;
    f->rflags |= RFLAGS_RF;
}

static void db_begin(uint32_t steps)
{
    db_count = 0;
    db_steps = steps;
    write_dr6(DR6_FIXED);
    trap_handlers[EXC_DB] = db_handler;
}

static void test_kept(void)
{
    write_dr0(0x123456789a);
    write_dr1(0xffff800000000000);
    write_dr2(2);
    write_dr3(0x3333);
    (void)cpuid(0, 0); /* an exit in between */
    expect("debug.dr0", read_dr0(), 0x123456789a);
    expect("debug.dr1", read_dr1(), 0xffff800000000000);
    expect("debug.dr2", read_dr2(), 2);
    expect("debug.dr3", read_dr3(), 0x3333);
    write_dr7(DR7_FIXED);
    expect("debug.dr7", read_dr7(), DR7_FIXED);
    write_dr6(0);
    expect("debug.dr6-fixed", read_dr6() & 0xffffffff, DR6_FIXED);
}

static void test_refused(void)
{
    uint64_t cr4 = read_cr4();

    expect("debug.dr7-upper", TRAP_OF("mov $1, %%eax; shl $32, %%rax; mov %%rax, %%dr7"), EXC_GP);
    expect("debug.dr6-upper", TRAP_OF("mov $1, %%eax; shl $32, %%rax; mov %%rax, %%dr6"), EXC_GP);
    write_cr4(cr4 | CR4_DE);
    expect("debug.dr4-with-de", TRAP_OF("mov %%dr4, %%rax"), EXC_UD);
    write_cr4(cr4 & ~CR4_DE);
    expect("debug.dr4-without-de", TRAP_OF("mov %%dr4, %%rax"), NO_TRAP);
    write_cr4(cr4);
}

static void test_execution(void)
{
    uint64_t at;

    db_begin(1);
    __asm__ volatile("lea 0f(%%rip), %0; mov %0, %%dr0; mov %1, %%dr7; 0: nop; mov %2, %%dr7"
                     : "=&r"(at)
                     : "r"(DR7_FIXED | DR7_L0), "r"(DR7_FIXED)
                     : "memory");
    expect("debug.execution-count", db_count, 1);
    expect("debug.execution-rip", db_rip[0], at);
    expect("debug.execution-dr6", db_dr6[0] & 0xf, DR6_B0);
}

/*
 * RF, with which the instruction runs again, ends with it, also where the hypervisor carries it out: a breakpoint behind it is
 * met. And behind an access to a device.
 */
static void test_behind(void)
{
    uint64_t at, behind;

    db_begin(2);
    __asm__ volatile("lea 0f(%%rip), %0; mov %0, %%dr0; lea 1f(%%rip), %1; mov %1, %%dr1; mov %2, %%dr7\n"
                     "0: cpuid\n1: nop; mov %3, %%dr7"
                     : "=&S"(at), "=&D"(behind)
                     : "r"(DR7_FIXED | DR7_L0 | DR7_L1), "r"(DR7_FIXED)
                     : "memory", "rax", "rbx", "rcx", "rdx");
    expect("debug.behind-cpuid-count", db_count, 2);
    expect("debug.behind-cpuid-first", db_rip[0], at);
    expect("debug.behind-cpuid-second", db_rip[1], behind);
    db_begin(1);
    __asm__ volatile("lea 0f(%%rip), %0; mov %0, %%dr0; mov %2, %%dr7; mov (%1), %%eax\n0: nop; mov %3, %%dr7"
                     : "=&r"(at)
                     : "r"(0xfee00030ull), "r"(DR7_FIXED | DR7_L0), "r"(DR7_FIXED)
                     : "memory", "rax");
    expect("debug.behind-mmio-count", db_count, 1);
    expect("debug.behind-mmio-rip", db_rip[0], at);
}

static void test_data(void)
{
    static volatile uint32_t watched;
    uint64_t behind;

    db_begin(1);
    write_dr0((uint64_t)&watched);
    write_dr7(DR7_FIXED | DR7_L0 | DR7_WRITE_4);
    __asm__ volatile("lea 1f(%%rip), %0; movl $7, %1; 1: nop" : "=&r"(behind), "=m"(watched));
    write_dr7(DR7_FIXED);
    expect("debug.data-count", db_count, 1);
    expect("debug.data-rip", db_rip[0], behind);
    expect("debug.data-dr6", db_dr6[0] & 0xf, DR6_B0);
}

/* SDM volume 3 section 18.2.4: GD makes the access itself a fault, and is cleared for the handler. */
static void test_general_detect(void)
{
    db_begin(1);
    write_dr7(DR7_FIXED | DR7_GD);
    (void)read_dr0();
    expect("debug.gd-count", db_count, 1);
    expect("debug.gd-dr6", db_dr6[0] & DR6_BD, DR6_BD);
    write_dr7(DR7_FIXED);
}

/* Sets TF, runs one instruction under it, and ends with the #DB behind that one. */
#define STEP(name, insn)                                                                                     \
    do {                                                                                                     \
        uint64_t behind_;                                                                                    \
        db_begin(1);                                                                                         \
        __asm__ volatile("lea 1f(%%rip), %0; pushfq; orl $0x100, (%%rsp); popfq; " insn "; 1: nop; nop"      \
                         : "=&r"(behind_)                                                                    \
                         :                                                                                   \
                         : "memory", "rax", "rbx", "rcx", "rdx");                                            \
        expect("debug.step-" name "-count", db_count, 1);                                                    \
        expect("debug.step-" name "-rip", db_rip[0], behind_);                                               \
        expect("debug.step-" name "-dr6", db_dr6[0] & DR6_BS, DR6_BS);                                       \
    } while (0)

static void test_steps(void)
{
    uint32_t scratch;

    STEP("nop", "nop");
    STEP("cpuid", "cpuid");
    db_begin(1);
    __asm__ volatile("mov $0x1b, %%ecx; pushfq; orl $0x100, (%%rsp); popfq; rdmsr; nop; nop" ::
                         : "memory", "rax", "rcx", "rdx");
    expect("debug.step-rdmsr-count", db_count, 1);
    db_begin(1);
    __asm__ volatile("pushfq; orl $0x100, (%%rsp); popfq; in %%dx, %%al; nop; nop"
                     : "=a"(scratch)
                     : "d"(UART_SCRATCH)
                     : "memory");
    expect("debug.step-in-count", db_count, 1);
    db_begin(1);
    __asm__ volatile("pushfq; orl $0x100, (%%rsp); popfq; mov (%1), %0; nop; nop"
                     : "=r"(scratch)
                     : "r"(0xfee00030ull)
                     : "memory");
    expect("debug.step-mmio-count", db_count, 1);
    db_begin(3);
    __asm__ volatile("pushfq; orl $0x100, (%%rsp); popfq; cpuid; cpuid; nop; nop" ::
                         : "memory", "rax", "rbx", "rcx", "rdx");
    expect("debug.step-three", db_count, 3);
    expect("debug.step-distance", db_rip[1] - db_rip[0], 2);
}

void test_debug(void)
{
    test_kept();
    test_refused();
    test_execution();
    test_behind();
    test_data();
    test_general_detect();
    test_steps();
    trap_handlers[EXC_DB] = NULL;
    write_dr6(DR6_FIXED);
    write_dr7(DR7_FIXED);
}
