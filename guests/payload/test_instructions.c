/* Instructions that a guest without these features must see as undefined, and hypercalls. */
#include "guests/payload/payload.h"

#include "core/event.h"
#include "core/lib/string.h"

#define EXPECT_UD(name, insn) expect("instructions." name, TRAP_OF(insn), EXC_UD)

static void test_vmx(void)
{
    EXPECT_UD("vmxon", "lea -8(%%rsp), %%rax; vmxon (%%rax)");
    EXPECT_UD("vmxoff", "vmxoff");
    EXPECT_UD("vmptrld", "lea -8(%%rsp), %%rax; vmptrld (%%rax)");
    EXPECT_UD("vmread", "vmread %%rax, %%rcx");
    EXPECT_UD("vmwrite", "vmwrite %%rax, %%rcx");
    EXPECT_UD("vmlaunch", "vmlaunch");
    EXPECT_UD("vmresume", "vmresume");
    EXPECT_UD("invept", "invept -8(%%rsp), %%rax");
    EXPECT_UD("invvpid", "invvpid -8(%%rsp), %%rax");
}

static void test_svm(void)
{
    EXPECT_UD("vmrun", "mov $0x400000, %%eax; vmrun");
    EXPECT_UD("vmload", "mov $0x400000, %%eax; vmload");
    EXPECT_UD("vmsave", "mov $0x400000, %%eax; vmsave");
    EXPECT_UD("stgi", "stgi");
    EXPECT_UD("clgi", "clgi");
    EXPECT_UD("invlpga", "xor %%eax, %%eax; xor %%ecx, %%ecx; invlpga");
}

/* The vendor's own instruction answers "no such call"; the other vendor's doesn't exist. */
static void test_hypercalls(void)
{
    uint64_t a = 0x7fffffff, vmcall, vmmcall;

    trap_begin();
    __asm__ volatile(TRAPPING("vmcall") : "+a"(a) : : "memory");
    vmcall = trap_vector();
    if (on_keel && on_intel)
        expect("instructions.vmcall-answer", a, (uint64_t)-1000);
    a = 0x7fffffff;
    trap_begin();
    __asm__ volatile(TRAPPING("vmmcall") : "+a"(a) : : "memory");
    vmmcall = trap_vector();
    if (on_keel && !on_intel)
        expect("instructions.vmmcall-answer", a, (uint64_t)-1000);
    expect("instructions.vmcall", vmcall, on_keel && on_intel ? NO_TRAP : EXC_UD);
    expect("instructions.vmmcall", vmmcall, on_keel && !on_intel ? NO_TRAP : EXC_UD);
    expect("instructions.vmcall-user", USER_TRAP_OF("vmcall"), EXC_UD);
    expect("instructions.vmmcall-user", USER_TRAP_OF("vmmcall"), EXC_UD);
}

static void test_by_cpuid(void)
{
    if (cpu_has(1, 2, 3))
        skip("instructions.monitor", "CPUID has it");
    else
        EXPECT_UD("monitor", "mov $0x400000, %%eax; xor %%ecx, %%ecx; xor %%edx, %%edx; monitor");
    if (!cpu_has(1, 2, 3))
        EXPECT_UD("mwait", "xor %%eax, %%eax; xor %%ecx, %%ecx; mwait");
    if (cpu_has(0x80000001, 3, 27))
        expect("instructions.rdtscp", TRAP_OF("rdtscp"), NO_TRAP);
    else
        EXPECT_UD("rdtscp-hidden", "rdtscp");
    if (cpu_has(7, 2, 22))
        expect("instructions.rdpid", TRAP_OF("rdpid %%rax"), NO_TRAP);
    else
        EXPECT_UD("rdpid", "rdpid %%rax");
    memset((void *)ARENA, 0, 16); /* INVPCID's descriptor */
    if (cpu_has(7, 1, 10))
        expect("instructions.invpcid", TRAP_OF("mov $0x400000, %%ecx; mov $2, %%eax; invpcid (%%rcx), %%rax"),
               NO_TRAP);
    else
        EXPECT_UD("invpcid", "mov $0x400000, %%ecx; mov $2, %%eax; invpcid (%%rcx), %%rax");
}

static void test_others(void)
{
    uint64_t cr4 = read_cr4();

    expect("instructions.rdpmc", TRAP_OF("mov $0x7fff, %%ecx; rdpmc"), EXC_GP);
    EXPECT_UD("rsm", "rsm");
    EXPECT_UD("getsec", "xor %%eax, %%eax; getsec");
    expect("instructions.pause", TRAP_OF("pause"), NO_TRAP);
    expect("instructions.rdtsc", TRAP_OF("rdtsc"), NO_TRAP);
    write_cr4(cr4 | CR4_TSD);
    expect("instructions.rdtsc-user-tsd", USER_TRAP_OF("rdtsc"), EXC_GP);
    expect("instructions.rdtsc-kernel-tsd", TRAP_OF("rdtsc"), NO_TRAP);
    write_cr4(cr4);
    expect("instructions.invlpg", TRAP_OF("invlpg 0x400000"), NO_TRAP);
    if (cpu_has(7, 2, 2)) {
        write_cr4(cr4 | CR4_UMIP);
        expect("instructions.umip-sidt", USER_TRAP_OF("sidt -64(%%rsp)"), EXC_GP);
        write_cr4(cr4);
    }
}

void test_instructions(void)
{
    test_vmx();
    test_svm();
    test_hypercalls();
    test_by_cpuid();
    test_others();
}
