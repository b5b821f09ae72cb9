#include "core/x86/fpu.h"

#include "core/lib/bytes.h"
#include "core/lib/string.h"
#include "core/x86/asm.h"
#include "core/x86/caps.h"
#include "core/x86/fpu_area.h"

#define FXSAVE_SIZE  512
#define CPUID_XSTATE 0xd
#define STATE_AVX    2 /* bits of XCR0, which are subleaves */
#define STATE_ZMM    6

static uint64_t components; /* all that XCR0 may have on this CPU; 0 without XSAVE */
static size_t area_size = FXSAVE_SIZE;
static struct fpu_layout layout;

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
    layout.xsave = true;
    layout.upper = components >> STATE_AVX & 1 ? cpuid(CPUID_XSTATE, STATE_AVX).ebx : 0;
    layout.zmm = components >> STATE_ZMM & 1 ? cpuid(CPUID_XSTATE, STATE_ZMM).ebx : 0;
}

size_t fpu_size(void)
{
    return area_size;
}

/* An XSAVE header of zeros says: all components are in their initial state. */
void fpu_reset(void *area)
{
    memset(area, 0, area_size);
    put_le16((uint8_t *)area + FPU_AREA_FCW, FPU_FCW_RESET);
    put_le32((uint8_t *)area + FPU_AREA_MXCSR, FPU_MXCSR_RESET);
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

void fpu_get_ymm(void *area, uint32_t reg, uint64_t value[4])
{
    fpu_save(area);
    fpu_area_get_ymm(area, &layout, reg, value);
}

void fpu_set_ymm(void *area, uint32_t reg, const uint64_t value[4], bool whole)
{
    fpu_save(area);
    fpu_area_set_ymm(area, &layout, reg, value, whole);
    fpu_restore(area);
}

uint64_t fpu_get_mmx(void *area, uint32_t reg)
{
    uint64_t value;

    fpu_save(area);
    value = fpu_area_get_mmx(area, &layout, reg);
    fpu_restore(area);
    return value;
}

void fpu_set_mmx(void *area, uint32_t reg, uint64_t value)
{
    fpu_save(area);
    fpu_area_set_mmx(area, &layout, reg, value);
    fpu_restore(area);
}
