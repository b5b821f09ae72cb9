/* Each exception that 64-bit code can raise: vector, error code, and where RIP stands. */
#include "guests/payload/payload.h"

#include "core/event.h"
#include "core/lib/format.h"
#include "core/lib/string.h"

#define PTE_US_RW_P 7
#define PTE_PS      BIT(7)
#define PTE_NX      BIT(63)

static void expect_trap(const char *name, uint64_t vector, uint64_t error, uint64_t behind)
{
    char full[64];

    fmt_print(full, sizeof(full), "exceptions.%s-vector", name);
    expect(full, trap_vector(), vector);
    fmt_print(full, sizeof(full), "exceptions.%s-error", name);
    expect(full, trap.error, error);
    fmt_print(full, sizeof(full), "exceptions.%s-rip", name);
    expect(full, trap.rip - trap_at, behind);
}

/* Without operands; RIP `behind` bytes after the beginning: 0 for faults, the length for traps. */
static void test_simple(void)
{
    (void)TRAP_OF("int3");
    expect_trap("bp", EXC_BP, 0, 1);
    (void)TRAP_OF("int $4");
    expect_trap("of", EXC_OF, 0, 2);
    (void)TRAP_OF("ud2");
    expect_trap("ud", EXC_UD, 0, 0);
    (void)TRAP_OF(".byte 0xf1");
    expect_trap("int1", EXC_DB, 0, 1);
    (void)TRAP_OF("xor %%ecx, %%ecx; div %%ecx");
    expect_trap("de", EXC_DE, 0, 2);
    (void)TRAP_OF(".byte 0xf0, 0x90");
    expect_trap("ud-lock", EXC_UD, 0, 0);
    skip("exceptions.ts", "64-bit code without hardware tasks can't raise it");
}

/* A fault that the hypervisor raises has RF in its frame as one of the CPU's own, a trap hasn't. */
static void test_resume_flag(void)
{
    uint64_t value;

    (void)TRAP_OF("int3");
    expect("exceptions.bp-rf", trap.rflags & RFLAGS_RF, 0);
    (void)TRAP_OF("ud2");
    expect("exceptions.ud-rf", trap.rflags & RFLAGS_RF, RFLAGS_RF);
    if (on_tcg && !on_keel)
        return; /* QEMU refuses no MSR */
    rdmsr_trap(0x12345, &value);
    expect("exceptions.gp-rf", trap.rflags & RFLAGS_RF, RFLAGS_RF);
}

static void test_selectors(void)
{
    (void)TRAP_OF("mov $0x28, %%eax; mov %%eax, %%fs");
    expect_trap("np", EXC_NP, NOT_PRESENT_SELECTOR, 5);
    (void)TRAP_OF("mov $0x28, %%eax; mov %%eax, %%ss");
    expect_trap("ss-selector", EXC_SS, NOT_PRESENT_SELECTOR, 5);
    (void)TRAP_OF("mov $0x7000, %%eax; mov %%eax, %%fs");
    expect_trap("gp-selector", EXC_GP, 0x7000, 5);
}

static void test_noncanonical(void)
{
    (void)TRAP_OF("mov $1, %%eax; shl $47, %%rax; mov (%%rax), %%rax");
    expect_trap("gp-canonical", EXC_GP, 0, 9);
    trap_begin();
    __asm__ volatile(
        "push %%rbp; mov $1, %%ebp; shl $47, %%rbp\n\t" TRAPPING("mov (%%rbp), %%rax") "pop %%rbp" ::
            : "memory", "rax");
    expect_trap("ss-canonical", EXC_SS, 0, 0);
}

static void test_privilege(void)
{
    (void)USER_TRAP_OF("hlt");
    expect_trap("gp-hlt-user", EXC_GP, 0, 0);
    (void)USER_TRAP_OF("mov %%cr0, %%rax");
    expect_trap("gp-cr0-user", EXC_GP, 0, 0);
    (void)USER_TRAP_OF("in %%dx, %%al");
    expect_trap("gp-port-user", EXC_GP, 0, 0);
    (void)USER_TRAP_OF("rdmsr");
    expect_trap("gp-rdmsr-user", EXC_GP, 0, 0);
    (void)USER_TRAP_OF("int $0x42");
    expect_trap("gp-int-user", EXC_GP, 0x42 << 3 | 2, 0);
}

static void touch(uint64_t address, bool write)
{
    trap_begin();
    if (write)
        __asm__ volatile(TRAPPING("movb $1, (%0)") : : "r"(address) : "memory");
    else
        __asm__ volatile(TRAPPING("movb (%0), %%al") : : "r"(address) : "memory", "rax");
}

/* One page of the map in several states; NX is tried by a call into it. */
static void test_page_faults(void)
{
    uint64_t cr0 = read_cr0(), efer = rdmsr(MSR_EFER);
    uint64_t old = page_set(ARENA_NEXT, 0);
    uint64_t frame = ARENA_NEXT;

    touch(ARENA_NEXT + 0x123, false);
    expect_trap("pf-read", EXC_PF, 0, 0);
    expect("exceptions.pf-read-cr2", trap.cr2, ARENA_NEXT + 0x123);
    touch(ARENA_NEXT + 0xfff, true);
    expect_trap("pf-write", EXC_PF, 2, 0);
    expect("exceptions.pf-write-cr2", trap.cr2, ARENA_NEXT + 0xfff);

    write_cr0(cr0 | CR0_WP);
    page_set(ARENA_NEXT, frame | PTE_PS | 5);
    touch(ARENA_NEXT, false);
    expect("exceptions.pf-read-only-read", trap_vector(), NO_TRAP);
    touch(ARENA_NEXT, true);
    expect_trap("pf-read-only", EXC_PF, 3, 0);
    write_cr0(cr0 & ~CR0_WP);
    touch(ARENA_NEXT, true);
    expect("exceptions.pf-without-wp", trap_vector(), NO_TRAP);
    write_cr0(cr0);

    page_set(ARENA_NEXT, frame | PTE_PS | PTE_US_RW_P | BIT(13)); /* reserved in a 2 MiB leaf */
    touch(ARENA_NEXT, false);
    expect_trap("pf-reserved", EXC_PF, 9, 0);

    wrmsr(MSR_EFER, efer | EFER_NXE);
    page_set(ARENA_NEXT, old);
    *(volatile uint8_t *)ARENA_NEXT = 0xc3; /* ret */
    page_set(ARENA_NEXT, frame | PTE_PS | PTE_US_RW_P | PTE_NX);
    trap_begin();
    __asm__ volatile("mov %%rsp, %%rbx\n\t" TRAPPING("call *%0") "mov %%rbx, %%rsp"
                     :
                     : "r"(ARENA_NEXT)
                     : "memory", "rbx");
    expect("exceptions.pf-nx-vector", trap_vector(), EXC_PF);
    expect("exceptions.pf-nx-error", trap.error, 0x11);
    expect("exceptions.pf-nx-rip", trap.rip, ARENA_NEXT);
    page_set(ARENA_NEXT, old);
    wrmsr(MSR_EFER, efer);
}

static void test_user_page_fault(void)
{
    uint64_t old = page_set(ARENA_NEXT, ARENA_NEXT | PTE_PS | 3); /* the kernel's */

    (void)USER_TRAP_OF("movb 0x600000, %%al");
    expect_trap("pf-user", EXC_PF, 5, 0);
    (void)USER_TRAP_OF("movb $1, 0x600000");
    expect_trap("pf-user-write", EXC_PF, 7, 0);
    page_set(ARENA_NEXT, old);
}

_Static_assert(ARENA_NEXT == 0x600000, "the address in test_user_page_fault");

static void test_floating_point(void)
{
    uint64_t cr0 = read_cr0(), cr4 = read_cr4();
    uint32_t mxcsr = 0x1f80 & ~0x200u; /* division by zero isn't masked */
    uint16_t control = 0x37f & ~4u;

    write_cr0((cr0 | CR0_TS | CR0_MP | CR0_NE) & ~CR0_EM);
    (void)TRAP_OF("fnop");
    expect_trap("nm", EXC_NM, 0, 0);
    write_cr0((cr0 & ~(CR0_TS | CR0_EM)) | CR0_MP | CR0_NE);

    __asm__ volatile("fninit; fldcw %0; fldz; fld1; fdiv %%st(1), %%st" : : "m"(control));
    (void)TRAP_OF("fwait");
    expect_trap("mf", EXC_MF, 0, 0);
    __asm__ volatile("fnclex; fninit");

    write_cr4(cr4 | CR4_OSFXSR | CR4_OSXMMEXCPT);
    __asm__ volatile("ldmxcsr %0; xorps %%xmm1, %%xmm1; mov $0x3f800000, %%eax; movd %%eax, %%xmm0"
                     :
                     : "m"(mxcsr)
                     : "rax");
    (void)TRAP_OF("divss %%xmm1, %%xmm0");
    expect_trap("xm", EXC_XM, 0, 0);
    mxcsr = 0x1f80;
    __asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
    write_cr4(cr4);
    write_cr0(cr0);
}

static void test_alignment(void)
{
    uint64_t cr0 = read_cr0();

    write_cr0(cr0 | CR0_AM);
    (void)USER_TRAP_OF("mov 0x400001, %%eax");
    expect_trap("ac", EXC_AC, 0, 0);
    write_cr0(cr0);
}

void test_exceptions(void)
{
    test_simple();
    test_resume_flag();
    test_selectors();
    test_noncanonical();
    test_privilege();
    test_page_faults();
    test_user_page_fault();
    test_floating_point();
    test_alignment();
}
