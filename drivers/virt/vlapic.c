/* Interrupts in a LAPIC: acceptance, priorities, EOI (SDM 11.8), destinations (11.6.2), modes (11.4, 11.12). */
#include "drivers/virt/vlapic.h"

#include "core/lib/string.h"
#include "drivers/virt/vlapic_regs.h"

#define VECTOR_FIRST 16 /* lower ones are illegal */
#define CLASS        0xf0
#define SVR_RESET    0xff
#define DFR_FLAT     0xf /* bits 31-28 */

static uint64_t set_word(const uint64_t set[4], uint32_t i)
{
    return __atomic_load_n(&set[i], __ATOMIC_RELAXED);
}

/* The highest vector in a set, or 0. */
static uint32_t set_highest(const uint64_t set[4])
{
#pragma GCC unroll 4
    for (uint32_t i = 4; i-- > 0;) {
        uint64_t word = set_word(set, i);

        if (word)
            return i * 64 + 63 - (uint32_t)__builtin_clzll(word);
    }
    return 0;
}

int vlapic_peek(const struct vlapic *l)
{
    uint32_t vector = set_highest(l->irr);

    return (vector & CLASS) > (l->ppr & CLASS) ? (int)vector : -1;
}

/* PPR is the higher of TPR and the class in service (SDM 11.8.3.1). */
static void ppr_update(struct vlapic *l)
{
    bool task = (l->tpr & CLASS) >= (l->serviced & CLASS);

    __atomic_store_n(&l->ppr, task ? l->tpr : l->serviced & CLASS, __ATOMIC_RELAXED);
    if (UNLIKELY(vlapic_peek(l) >= 0))
        l->config.kick(l->config.ctx);
}

void vlapic_set_tpr(struct vlapic *l, uint8_t tpr)
{
    if (UNLIKELY(l->config.vapic)) {
        vlapic_page_set_tpr(l, tpr);
        return;
    }
    l->tpr = tpr;
    ppr_update(l);
}

void vlapic_set_cr8(struct vlapic *l, uint8_t cr8)
{
    vlapic_set_tpr(l, (uint8_t)(cr8 << 4));
}

/* Most vectors always come in the same way, so that TMR is rarely written. */
static void tmr_set(struct vlapic *l, uint8_t vector, bool level_triggered)
{
    uint64_t *word = &l->tmr[vector / 64], bit = BIT(vector % 64);

    if (!!(__atomic_load_n(word, __ATOMIC_RELAXED) & bit) == level_triggered)
        return;
    if (level_triggered)
        __atomic_fetch_or(word, bit, __ATOMIC_RELAXED);
    else
        __atomic_fetch_and(word, ~bit, __ATOMIC_RELAXED);
}

void vlapic_post(struct vlapic *l, uint8_t vector, bool level_triggered)
{
    uint64_t bit = BIT(vector % 64);

    if (UNLIKELY(!__atomic_load_n(&l->accepting, __ATOMIC_RELAXED)))
        return;
    if (UNLIKELY(vector < VECTOR_FIRST)) {
        vlapic_error(l, ESR_RECEIVE_VECTOR);
        return;
    }
    if (UNLIKELY(l->config.vapic)) {
        vlapic_page_post(l, vector, level_triggered);
        return;
    }
    tmr_set(l, vector, level_triggered);
    /* A bit that was set already has been, or is being, kicked for. */
    if (!(__atomic_fetch_or(&l->irr[vector / 64], bit, __ATOMIC_RELEASE) & bit))
        l->config.kick(l->config.ctx);
}

/* Reset leaves the flag in memory as it is: what it says is written with the next interrupt. */
static void eoi_offer(struct vlapic *l, uint8_t vector)
{
    l->eoi_left_out = set_highest(l->irr) == 0 && !(set_word(l->tmr, vector / 64) >> vector % 64 & 1);
    __atomic_store_n(l->eoi_flag, (uint8_t)l->eoi_left_out, __ATOMIC_RELAXED);
}

void vlapic_accept(struct vlapic *l, uint8_t vector)
{
    uint64_t bit = BIT(vector % 64);

    __atomic_fetch_and(&l->irr[vector / 64], ~bit, __ATOMIC_ACQUIRE);
    l->isr[vector / 64] |= bit;
    /* Its class is above PPR's, hence the highest in service now. */
    l->serviced = vector;
    __atomic_store_n(&l->ppr, (uint8_t)(vector & CLASS), __ATOMIC_RELAXED);
    if (l->eoi_flag)
        eoi_offer(l, vector);
}

/* The one that waits now can only follow an EOI that is seen. */
void vlapic_settle_eoi(struct vlapic *l)
{
    bool ended = !(__atomic_load_n(l->eoi_flag, __ATOMIC_RELAXED) & 1);

    if (!ended && set_highest(l->irr) == 0)
        return;
    l->eoi_left_out = false;
    __atomic_store_n(l->eoi_flag, 0, __ATOMIC_RELAXED);
    if (ended)
        vlapic_eoi(l);
}

/* From here on, the EOI of the interrupt in service has to be written, or was, whatever the flag says. */
static NOINLINE void eoi_withdraw(struct vlapic *l)
{
    vlapic_settle_eoi(l);
    if (!l->eoi_left_out)
        return;
    l->eoi_left_out = false;
    __atomic_store_n(l->eoi_flag, 0, __ATOMIC_RELAXED);
}

void vlapic_set_eoi_flag(struct vlapic *l, uint8_t *flag)
{
    if (l->eoi_left_out)
        eoi_withdraw(l);
    l->eoi_flag = flag;
}

static NOINLINE void eoi_level_triggered(struct vlapic *l, uint8_t vector)
{
    ppr_update(l);
    l->config.eoi(l->config.ctx, vector);
}

static NOINLINE void eoi_left_out(struct vlapic *l)
{
    eoi_withdraw(l);
    vlapic_eoi(l);
}

/* Every interrupt passes here: each way on is the last call, so that nothing has to be saved. */
void vlapic_eoi(struct vlapic *l)
{
    uint8_t vector = l->serviced;
    uint64_t bit = BIT(vector % 64);

    if (UNLIKELY(l->eoi_left_out)) {
        eoi_left_out(l);
        return;
    }
    if (UNLIKELY(vector == 0)) {
        vlapic_page_eoi(l);
        return;
    }
    l->isr[vector / 64] &= ~bit;
    l->serviced = (uint8_t)set_highest(l->isr);
    if (UNLIKELY(__atomic_load_n(&l->tmr[vector / 64], __ATOMIC_RELAXED) & bit))
        eoi_level_triggered(l, vector);
    else
        ppr_update(l);
}

void vlapic_error(struct vlapic *l, uint32_t errors)
{
    uint32_t before = __atomic_fetch_or(&l->errors, errors, __ATOMIC_RELAXED);
    uint32_t lvt = __atomic_load_n(&l->lvt[LVT_ERROR], __ATOMIC_RELAXED);

    if ((before & errors) == errors || (lvt & LVT_MASKED))
        return;
    /* An illegal vector in this very entry is one more error, but can't be told. */
    if ((uint8_t)lvt < VECTOR_FIRST)
        __atomic_fetch_or(&l->errors, ESR_RECEIVE_VECTOR, __ATOMIC_RELAXED);
    else
        vlapic_post(l, (uint8_t)lvt, false);
}

void vlapic_lvt_deliver(struct vlapic *l, enum vlapic_lvt entry)
{
    uint32_t lvt = l->lvt[entry], delivery = LVT_DELIVERY(lvt);

    if (lvt & LVT_MASKED)
        return;
    if (delivery == APIC_FIXED) {
        vlapic_post(l, (uint8_t)lvt, false);
    } else if (delivery == APIC_SMI || delivery == APIC_NMI || delivery == APIC_INIT) {
        struct apic_message message = {
            .delivery = (uint8_t)delivery, .shorthand = APIC_TO_SELF, .level = true};

        l->config.send(l->config.ctx, &message);
    }
    /* The other codes are reserved in an LVT entry (SDM 11.5.1): nothing is delivered. */
}

/* ExtINT is a level that vlapic_takes_pic is asked about; everything else is delivered at the rising edge. */
void vlapic_set_lint(void *dev, uint32_t line, bool level)
{
    struct vlapic *l = dev;
    enum vlapic_lvt entry = line ? LVT_LINT1 : LVT_LINT0;
    bool before = l->lint_levels & BIT(line);

    if (level == before)
        return;
    l->lint_levels ^= BIT(line);
    if (level && LVT_DELIVERY(l->lvt[entry]) != APIC_EXTINT)
        vlapic_lvt_deliver(l, entry);
}

bool vlapic_takes_pic(const struct vlapic *l)
{
    uint32_t lvt = l->lvt[LVT_LINT0];

    if (!(l->base & APIC_BASE_EN))
        return true;
    return !(lvt & LVT_MASKED) && LVT_DELIVERY(lvt) == APIC_EXTINT;
}

/* SDM 11.6.2.2: eight bits, flat or in clusters. */
static bool accepts_xapic_logical(const struct vlapic *l, uint32_t dest)
{
    if (dest > 0xff)
        return false;
    if (l->dfr >> 28 == DFR_FLAT)
        return dest & l->ldr;
    return dest >> 4 == l->ldr >> 4 && (dest & l->ldr & 0xf);
}

bool vlapic_accepts(const struct vlapic *l, uint32_t dest, enum apic_dest_mode mode)
{
    if (!(l->base & APIC_BASE_EN))
        return false;
    if (dest == APIC_BROADCAST)
        return true;
    if (mode == APIC_PHYSICAL)
        return dest == __atomic_load_n(&l->id, __ATOMIC_RELAXED);
    if (l->base & APIC_BASE_EXTD)
        return dest >> 16 == l->ldr >> 16 && (dest & l->ldr & 0xffff);
    return accepts_xapic_logical(l, dest);
}

static void accepting_update(struct vlapic *l)
{
    bool accepting = (l->base & APIC_BASE_EN) && (l->svr & SVR_ENABLE);

    __atomic_store_n(&l->accepting, accepting, __ATOMIC_RELAXED);
}

/* Disabling by SVR masks all LVT entries (SDM 11.4.7.2). */
void vlapic_set_svr(struct vlapic *l, uint32_t svr)
{
    l->svr = svr;
    if (!(svr & SVR_ENABLE)) {
        for (uint32_t i = 0; i < LVT_COUNT; i++)
            l->lvt[i] |= LVT_MASKED;
    }
    accepting_update(l);
}

/* Everything but APIC_BASE and the id. */
static void state_reset(struct vlapic *l)
{
    __atomic_store_n(&l->accepting, false, __ATOMIC_RELAXED);
    for (uint32_t i = 0; i < 4; i++) {
        __atomic_store_n(&l->irr[i], 0, __ATOMIC_RELAXED);
        __atomic_store_n(&l->tmr[i], 0, __ATOMIC_RELAXED);
        l->isr[i] = 0;
    }
    for (uint32_t i = 0; i < LVT_COUNT; i++)
        l->lvt[i] = LVT_MASKED;
    l->serviced = 0;
    l->eoi_left_out = false;
    l->dfr = UINT32_MAX;
    l->esr = 0;
    __atomic_store_n(&l->errors, 0, __ATOMIC_RELAXED);
    l->icr_low = l->icr_high = 0;
    if (l->config.vapic)
        vapic_reset(l->config.vapic);
    vlapic_set_tpr(l, 0);
    vlapic_timer_reset(l);
    vlapic_set_svr(l, SVR_RESET);
}

/* In xAPIC mode LDR is the guest's; in x2APIC mode it follows from the id (SDM 11.12.10.2). */
static void ldr_reset(struct vlapic *l)
{
    uint32_t id = l->config.id;

    l->ldr = l->base & APIC_BASE_EXTD ? id >> 4 << 16 | 1u << (id & 0xf) : 0;
}

/* A LAPIC that comes into a mode has the id that it was made with. */
static void mode_update(struct vlapic *l)
{
    bool x2apic = l->base & APIC_BASE_EXTD;
    uint32_t id = l->config.id;

    __atomic_store_n(&l->id, x2apic ? id : (uint8_t)id, __ATOMIC_RELAXED);
    ldr_reset(l);
    accepting_update(l);
    vlapic_page_mode(l);
}

void vlapic_receive_init(struct vlapic *l)
{
    state_reset(l);
    ldr_reset(l);
    vlapic_page_mode(l);
}

void vlapic_reset(struct vlapic *l)
{
    l->base = VLAPIC_BASE | APIC_BASE_EN | (l->config.bsp ? APIC_BASE_BSP : 0);
    l->eoi_flag = NULL; /* what it pointed to is another system's now */
    state_reset(l);
    mode_update(l);
}

/* Of the modes (EN, EXTD): 00 -> 10 -> 11 -> 00 and 10 -> 00 (SDM figure 11-27). */
static bool transition_legal(uint64_t from, uint64_t to)
{
    bool from_enabled = from & APIC_BASE_EN, to_enabled = to & APIC_BASE_EN;
    bool from_x2apic = from & APIC_BASE_EXTD, to_x2apic = to & APIC_BASE_EXTD;

    if (to_x2apic)
        return to_enabled && from_enabled;
    return !(from_x2apic && to_enabled);
}

bool vlapic_set_base(struct vlapic *l, uint64_t value)
{
    uint64_t before = l->base;
    uint64_t allowed = MASK(l->config.phys_bits) & ~PAGE_MASK;

    allowed |= APIC_BASE_BSP | APIC_BASE_EN | (l->config.x2apic ? APIC_BASE_EXTD : 0);
    if ((value & ~allowed) || !transition_legal(before, value))
        return false;
    l->base = value;
    if ((before ^ value) & APIC_BASE_EN)
        state_reset(l);
    if ((before ^ value) & (APIC_BASE_EN | APIC_BASE_EXTD))
        mode_update(l);
    else if ((before ^ value) & ~PAGE_MASK)
        vlapic_page_mode(l);
    /* A disabled one lets the PIC through. */
    l->config.kick(l->config.ctx);
    return true;
}

void vlapic_virtual_wire(struct vlapic *l)
{
    vlapic_set_svr(l, SVR_ENABLE | SVR_RESET);
    l->lvt[LVT_LINT0] = APIC_EXTINT << 8;
    l->lvt[LVT_LINT1] = APIC_NMI << 8;
    vlapic_page_show(l);
}

void vlapic_init(struct vlapic *l, const struct vlapic_config *config)
{
    memset(l, 0, sizeof(*l));
    l->config = *config;
    vlapic_timer_init(l);
    vlapic_reset(l);
}
