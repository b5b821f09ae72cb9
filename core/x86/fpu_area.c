#include "core/x86/fpu_area.h"

#include "core/lib/bytes.h"
#include "core/lib/string.h"

#define ST_BYTES   16
#define XMM_BYTES  16
#define ZMM_BYTES  32 /* of their upper halves */
#define REGISTERS  16
#define FSW_TOP(w) ((w) >> 11 & 7)

/* Bits of XSTATE_BV, the first word of the header: clear, a component is in its initial state whatever its bytes are. */
enum { STATE_X87, STATE_SSE, STATE_AVX, STATE_ZMM = 6 };

static bool state_is_there(const uint8_t *area, const struct fpu_layout *layout, uint32_t state)
{
    return !layout->xsave || (get_le64(area + FPU_AREA_HEADER) >> state & 1);
}

/* Makes the bytes count: `len` of them, which become 0 if they didn't count before. */
static void state_use(uint8_t *area, const struct fpu_layout *layout, uint32_t state, uint32_t at,
                      uint32_t len)
{
    if (state_is_there(area, layout, state))
        return;
    memset(area + at, 0, len);
    put_le64(area + FPU_AREA_HEADER, get_le64(area + FPU_AREA_HEADER) | BIT(state));
}

static void half_get(const uint8_t *p, uint64_t value[2])
{
    value[0] = get_le64(p);
    value[1] = get_le64(p + 8);
}

static void half_set(uint8_t *p, const uint64_t value[2])
{
    put_le64(p, value[0]);
    put_le64(p + 8, value[1]);
}

void fpu_area_get_ymm(const void *area, const struct fpu_layout *layout, uint32_t reg, uint64_t value[4])
{
    const uint8_t *a = area;

    value[0] = value[1] = value[2] = value[3] = 0;
    if (state_is_there(a, layout, STATE_SSE))
        half_get(a + FPU_AREA_XMM + XMM_BYTES * reg, value);
    if (layout->upper && state_is_there(a, layout, STATE_AVX))
        half_get(a + layout->upper + XMM_BYTES * reg, value + 2);
}

void fpu_area_set_ymm(void *area, const struct fpu_layout *layout, uint32_t reg, const uint64_t value[4],
                      bool whole)
{
    uint8_t *a = area;

    state_use(a, layout, STATE_SSE, FPU_AREA_XMM, XMM_BYTES * REGISTERS);
    half_set(a + FPU_AREA_XMM + XMM_BYTES * reg, value);
    if (!whole)
        return;
    if (layout->upper) {
        state_use(a, layout, STATE_AVX, layout->upper, XMM_BYTES * REGISTERS);
        half_set(a + layout->upper + XMM_BYTES * reg, value + 2);
    }
    if (layout->zmm && state_is_there(a, layout, STATE_ZMM))
        memset(a + layout->zmm + ZMM_BYTES * reg, 0, ZMM_BYTES);
}

/* The area has the x87 registers from the top of the stack on; MMX numbers them from 0. */
static void mmx_enter(uint8_t *area, const struct fpu_layout *layout)
{
    uint8_t old[8 * ST_BYTES];
    uint16_t fsw;

    if (!state_is_there(area, layout, STATE_X87)) {
        state_use(area, layout, STATE_X87, FPU_AREA_FCW, FPU_AREA_MXCSR);
        put_le16(area + FPU_AREA_FCW, FPU_FCW_RESET);
        memset(area + FPU_AREA_ST, 0, sizeof(old));
    }
    fsw = get_le16(area + FPU_AREA_FSW);
    memcpy(old, area + FPU_AREA_ST, sizeof(old));
    for (uint32_t i = 0; i < 8; i++)
        memcpy(area + FPU_AREA_ST + i * ST_BYTES, old + ((i - FSW_TOP(fsw)) & 7) * ST_BYTES, ST_BYTES);
    put_le16(area + FPU_AREA_FSW, (uint16_t)(fsw & ~(7u << 11)));
    area[FPU_AREA_FTW] = 0xff;
}

uint64_t fpu_area_get_mmx(void *area, const struct fpu_layout *layout, uint32_t reg)
{
    mmx_enter(area, layout);
    return get_le64((uint8_t *)area + FPU_AREA_ST + ST_BYTES * reg);
}

void fpu_area_set_mmx(void *area, const struct fpu_layout *layout, uint32_t reg, uint64_t value)
{
    uint8_t *st = (uint8_t *)area + FPU_AREA_ST + ST_BYTES * reg;

    mmx_enter(area, layout);
    put_le64(st, value);
    put_le16(st + 8, 0xffff); /* sign and exponent */
}
