#include "core/x86/fpu.h"

#include "core/lib/bytes.h"
#include "core/lib/string.h"
#include "core/x86/asm.h"
#include "core/x86/caps.h"

#define FXSAVE_SIZE 512
#define AREA_FCW    0 /* SDM volume 1, table "Format of an FXSAVE Area" */
#define AREA_MXCSR  24
#define FCW_RESET                                                                                            \
    0x037f /* what FNINIT and XRSTOR's initial state have; RESET's own 0x0040 no software relies on */
#define MXCSR_RESET  0x1f80
#define CPUID_XSTATE 0xd

static uint64_t components; /* all that XCR0 may have on this CPU; 0 without XSAVE */
static size_t area_size = FXSAVE_SIZE;

/*
 * Standard format, not XSAVES: guests can't set any bit of IA32_XSS (core/msr.c), so there is no supervisor state, and an
 * area that every CPU reads alike is worth more than a shorter one.
 */
void fpu_init(void)
{
    struct cpuid_regs r;

    if (!cap(CAP_XSAVE))
        return;
    r = cpuid(CPUID_XSTATE, 0);
    components = (uint64_t)r.edx << 32 | r.eax;
    area_size = r.ecx;
}

size_t fpu_size(void)
{
    return area_size;
}

/* An XSAVE header of zeros says: all components are in their initial state. */
void fpu_reset(void *area)
{
    memset(area, 0, area_size);
    put_le16((uint8_t *)area + AREA_FCW, FCW_RESET);
    put_le32((uint8_t *)area + AREA_MXCSR, MXCSR_RESET);
}

static void area_xsave(void *area)
{
    __asm__ volatile("xsave64 (%0)" : : "r"(area), "a"(UINT32_MAX), "d"(UINT32_MAX) : "memory");
}

static void area_xrstor(const void *area)
{
    __asm__ volatile("xrstor64 (%0)" : : "r"(area), "a"(UINT32_MAX), "d"(UINT32_MAX) : "memory");
}

void fpu_save(void *area)
{
    uint64_t guest;

    if (!components) {
        __asm__ volatile("fxsave64 (%0)" : : "r"(area) : "memory");
        return;
    }
    guest = xgetbv(0);
    xsetbv(0, components);
    area_xsave(area);
    xsetbv(0, guest);
}

void fpu_restore(const void *area)
{
    uint64_t guest;

    if (!components) {
        __asm__ volatile("fxrstor64 (%0)" : : "r"(area) : "memory");
        return;
    }
    guest = xgetbv(0);
    xsetbv(0, components);
    area_xrstor(area);
    xsetbv(0, guest);
}
