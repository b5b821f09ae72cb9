/* XSETBV takes what the manual allows, and vector registers survive exits. */
#include "guests/payload/payload.h"

#include "core/event.h"

static uint64_t xsetbv_trap(uint32_t reg, uint64_t value)
{
    trap_begin();
    __asm__ volatile(TRAPPING("xsetbv")
                     :
                     : "c"(reg), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
                     : "memory");
    return trap_vector();
}

static void test_refused(uint64_t all)
{
    expect("xsave.without-x87", xsetbv_trap(0, XCR0_SSE), EXC_GP);
    expect("xsave.zero", xsetbv_trap(0, 0), EXC_GP);
    expect("xsave.reserved", xsetbv_trap(0, all | BIT(63)), EXC_GP);
    expect("xsave.xcr1", xsetbv_trap(1, 1), EXC_GP);
    if (all & XCR0_AVX)
        expect("xsave.avx-without-sse", xsetbv_trap(0, XCR0_X87 | XCR0_AVX), EXC_GP);
    if (all & BIT(5))
        expect("xsave.avx512-in-part", xsetbv_trap(0, XCR0_X87 | XCR0_SSE | XCR0_AVX | BIT(5)), EXC_GP);
    expect("xsave.unchanged", xgetbv(0), XCR0_X87 | XCR0_SSE);
    (void)USER_TRAP_OF("xor %%ecx, %%ecx; xor %%edx, %%edx; mov $1, %%eax; xsetbv");
    expect("xsave.user", trap_vector(), EXC_GP);
}

static void test_accepted(uint64_t all)
{
    expect("xsave.x87", xsetbv_trap(0, XCR0_X87), NO_TRAP);
    expect("xsave.x87-read", xgetbv(0), XCR0_X87);
    if (all & XCR0_AVX) {
        expect("xsave.avx", xsetbv_trap(0, XCR0_X87 | XCR0_SSE | XCR0_AVX), NO_TRAP);
        expect("xsave.avx-read", xgetbv(0), XCR0_X87 | XCR0_SSE | XCR0_AVX);
    }
}

/* Through two exits: CPUID and a device. */
static void test_survival(void)
{
    static const uint64_t in[4] = {0x1111222233334444, 0x5555666677778888, 0x9999aaaabbbbcccc,
                                   0xddddeeeeffff0000};
    uint64_t out[4] = {0};

    if (!(xgetbv(0) & XCR0_AVX)) {
        skip("xsave.survival", "no AVX");
        return;
    }
    __asm__ volatile("vmovups %1, %%ymm7; xor %%eax, %%eax; cpuid; mov 0xfee00030, %%eax; vmovups %%ymm7, %0"
                     : "=m"(out)
                     : "m"(in)
                     : "rax", "rbx", "rcx", "rdx");
    check("xsave.survival", out[0] == in[0] && out[1] == in[1] && out[2] == in[2] && out[3] == in[3]);
}

static void test_off(void)
{
    uint64_t cr4 = read_cr4();

    write_cr4(cr4 & ~CR4_OSXSAVE);
    expect("xsave.xgetbv-off", TRAP_OF("xor %%ecx, %%ecx; xgetbv"), EXC_UD);
    expect("xsave.xsetbv-off", xsetbv_trap(0, 1), EXC_UD);
    write_cr4(cr4);
}

void test_xsave(void)
{
    uint64_t cr4 = read_cr4(), all;

    test_off();
    if (!cpu_has(1, 2, 26)) {
        skip("xsave", "not in CPUID");
        return;
    }
    write_cr4(cr4 | CR4_OSXSAVE | CR4_OSFXSR);
    all = cpuid(0xd, 0).eax | (uint64_t)cpuid(0xd, 0).edx << 32;
    xsetbv(0, XCR0_X87 | XCR0_SSE);
    test_refused(all);
    test_accepted(all);
    test_survival();
    xsetbv(0, XCR0_X87 | XCR0_SSE);
    write_cr4(cr4);
}
