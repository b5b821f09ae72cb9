/* The LAPIC where the CPU delivers its interrupts: what the model does on the page that both share (core/vapic.h). */
#include "drivers/virt/vlapic_regs.h"

#define REGS(first, count) (MASK(count) << (first))

/* What a guest can read without an exit (SDM 30.4.2, 30.5) and isn't kept in the page alone. */
#define SHOWN                                                                                                \
    (BIT(REG_ID) | BIT(REG_VERSION) | BIT(REG_LDR) | BIT(REG_DFR) | BIT(REG_SVR) | BIT(REG_ESR) |            \
     BIT(REG_ICR) | BIT(REG_ICR_HIGH) | REGS(REG_LVT, LVT_COUNT) | BIT(REG_INITIAL) | BIT(REG_DIVIDE))

void vlapic_page_post(struct vlapic *l, uint8_t vector, bool level_triggered)
{
    if (!vapic_post(l->config.vapic, vector, level_triggered))
        return;
    if (level_triggered)
        l->config.kick(l->config.ctx);
    else
        l->config.notify(l->config.ctx);
}

void vlapic_ended(struct vlapic *l, uint8_t vector)
{
    if (vapic_is_level(l->config.vapic, vector))
        l->config.eoi(l->config.ctx, vector);
}

static NOINLINE void page_eoi(struct vlapic *l)
{
    uint8_t vector = vapic_eoi(l->config.vapic);

    if (vector) {
        l->config.kick(l->config.ctx);
        vlapic_ended(l, vector);
    }
}

void vlapic_page_eoi(struct vlapic *l)
{
    if (l->config.vapic)
        page_eoi(l);
}

static void reg_show(struct vlapic *l, uint32_t reg)
{
    vapic_set(l->config.vapic, reg, vlapic_reg_read(l, reg, 0));
}

void vlapic_page_show(struct vlapic *l)
{
    if (LIKELY(!l->config.vapic))
        return;
    for (uint64_t left = SHOWN; left; left &= left - 1)
        reg_show(l, (uint32_t)__builtin_ctzll(left));
}

/* SVR masks LVT entries, and the LVT timer's mode clears the initial count. */
void vlapic_page_show_after(struct vlapic *l, uint64_t reg)
{
    if (LIKELY(!l->config.vapic) || reg >= REG_COUNT)
        return;
    if (reg == REG_SVR || reg - REG_LVT < LVT_COUNT)
        vlapic_page_show(l);
    else if (SHOWN >> reg & 1)
        reg_show(l, (uint32_t)reg);
}

void vlapic_page_mode(struct vlapic *l)
{
    enum vapic_mode mode = VAPIC_OFF;

    if (LIKELY(!l->config.vapic))
        return;
    if (l->base & APIC_BASE_EN) {
        if (l->base & APIC_BASE_EXTD)
            mode = VAPIC_X2APIC;
        else
            mode = (l->base & ~PAGE_MASK) == VLAPIC_BASE ? VAPIC_XAPIC : VAPIC_MOVED;
    }
    vapic_set_mode(l->config.vapic, mode);
    vlapic_page_show(l);
}

void vlapic_page_adopt(struct vlapic *l)
{
    l->icr_low = vapic_get(l->config.vapic, REG_ICR);
    l->icr_high = vapic_get(l->config.vapic, REG_ICR_HIGH);
}

/* Registers that can't be written have to look again as they were. */
void vlapic_written(struct vlapic *l, uint32_t offset, uint64_t now)
{
    uint32_t reg = offset >> 4, value = vapic_get(l->config.vapic, reg);

    vlapic_page_adopt(l);
    vlapic_xapic_write(l, reg, value, now);
    vlapic_page_show_after(l, reg);
}
