/* The LAPIC where the CPU delivers its interrupts: what the model does on the page that both share (core/vapic.h). */
#include "drivers/virt/vlapic_regs.h"

#define REGS(first, count) (MASK(count) << (first))

/* What a guest can read without an exit (SDM 30.4.2, 30.5) and isn't kept in the page alone. */
#define SHOWN                                                                                                \
    (BIT(REG_ID) | BIT(REG_VERSION) | BIT(REG_LDR) | BIT(REG_DFR) | BIT(REG_SVR) | BIT(REG_ESR) |            \
     BIT(REG_ICR) | BIT(REG_ICR_HIGH) | REGS(REG_LVT, LVT_COUNT) | BIT(REG_INITIAL) | BIT(REG_DIVIDE))

int vlapic_page_peek(struct vapic *a)
{
    uint8_t vector;

    if (!a->manual)
        return -1;
    vapic_collect(a);
    vector = (uint8_t)vapic_status(a);
    return vector >> 4 > vapic_ppr(a) >> 4 ? vector : -1;
}

void vlapic_page_set_tpr(struct vlapic *l, uint8_t tpr)
{
    struct vapic *a = l->config.vapic;

    vapic_set(a, VAPIC_TPR, tpr);
    if (vlapic_page_peek(a) >= 0)
        l->config.kick(l->config.ctx);
}

/* Who posted before it became manual, and told the CPU, is found by the first peek; who comes later kicks for one. */
void vlapic_page_post(struct vlapic *l, uint8_t vector, bool level_triggered)
{
    if (!vapic_post(l->config.vapic, vector, level_triggered))
        return;
    if (level_triggered || __atomic_load_n(&l->config.vapic->manual, __ATOMIC_SEQ_CST))
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

NOINLINE void vlapic_page_show(struct vlapic *l)
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

static enum vapic_mode page_mode(const struct vlapic *l)
{
    bool x2apic = l->base & APIC_BASE_EXTD, usual = !x2apic && (l->base & ~PAGE_MASK) == VLAPIC_BASE;

    if (!(l->base & APIC_BASE_EN))
        return VAPIC_OFF;
    if (l->config.vapic->manual)
        return usual ? VAPIC_TRAPPED : VAPIC_OFF;
    if (x2apic)
        return VAPIC_X2APIC;
    return usual ? VAPIC_XAPIC : VAPIC_MOVED;
}

NOINLINE void vlapic_page_mode(struct vlapic *l)
{
    if (LIKELY(!l->config.vapic))
        return;
    vapic_set_mode(l->config.vapic, page_mode(l));
    vlapic_page_show(l);
}

void vlapic_set_manual(struct vlapic *l, bool manual)
{
    if (!l->config.vapic)
        return;
    __atomic_store_n(&l->config.vapic->manual, manual, __ATOMIC_SEQ_CST);
    vlapic_page_mode(l);
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
