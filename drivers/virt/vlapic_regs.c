/* The LAPIC's registers as a page of MMIO (SDM 11.4.1) and as MSRs (11.12.1). */
#include "drivers/virt/vlapic_regs.h"

#define VERSION      (0x14 | (LVT_COUNT - 1) << 16)
#define VECTOR_FIRST 16

#define ICR_BUSY         BIT(12) /* read-only, always 0; tolerated when written, as AMD's processors do */
#define ICR_DELIVERY(v)  ((v) >> 8 & 7)
#define ICR_LOGICAL      BIT(11)
#define ICR_ASSERT       BIT(14)
#define ICR_LEVEL        BIT(15)
#define ICR_SHORTHAND(v) ((v) >> 18 & 3)

#define REGS(first, count) (MASK(count) << (first))

/* Registers that exist, a bit for each. */
#define READABLE                                                                                             \
    (BIT(REG_ID) | BIT(REG_VERSION) | BIT(REG_TPR) | BIT(REG_PPR) | BIT(REG_LDR) | BIT(REG_SVR) |            \
     REGS(REG_ISR, 24) | BIT(REG_ESR) | BIT(REG_ICR) | REGS(REG_LVT, LVT_COUNT) | BIT(REG_INITIAL) |         \
     BIT(REG_CURRENT) | BIT(REG_DIVIDE))
#define XAPIC_READABLE                                                                                       \
    (READABLE | BIT(REG_APR) | BIT(REG_EOI) | BIT(REG_RRD) | BIT(REG_DFR) | BIT(REG_ICR_HIGH))
#define WRITABLE                                                                                             \
    (BIT(REG_TPR) | BIT(REG_EOI) | BIT(REG_SVR) | BIT(REG_ESR) | BIT(REG_ICR) | REGS(REG_LVT, LVT_COUNT) |   \
     BIT(REG_INITIAL) | BIT(REG_DIVIDE))
#define X2APIC_WRITABLE (WRITABLE | BIT(REG_SELF_IPI))

/* The bits of a register that can be written. In x2APIC mode, any other takes #GP. */
static const uint32_t writable_bits[REG_COUNT] = {
    [REG_ID] = 0xff000000,
    [REG_TPR] = 0xff,
    [REG_LDR] = 0xff000000,
    [REG_DFR] = 0xf0000000,
    [REG_SVR] = 0x3ff,
    [REG_ICR] = 0xcdfff,
    [REG_ICR_HIGH] = 0xff000000,
    [REG_LVT + LVT_TIMER] = 0x700ff,
    [REG_LVT + LVT_THERMAL] = 0x107ff,
    [REG_LVT + LVT_PMC] = 0x107ff,
    [REG_LVT + LVT_LINT0] = 0x1a7ff,
    [REG_LVT + LVT_LINT1] = 0x1a7ff,
    [REG_LVT + LVT_ERROR] = 0x100ff,
    [REG_INITIAL] = 0xffffffff,
    [REG_DIVIDE] = 0xb,
    [REG_SELF_IPI] = 0xff,
};

/* LVT entries also have a delivery status and a remote IRR, read-only: writing them back is no error. */
#define LVT_READ_ONLY (BIT(12) | BIT(14))

static bool reg_exists(uint64_t regs, uint64_t reg)
{
    return reg < REG_COUNT && (regs >> reg & 1);
}

static bool is_lvt(uint64_t reg)
{
    return reg - REG_LVT < LVT_COUNT;
}

static uint32_t set_part(const uint64_t set[4], uint64_t index)
{
    return (uint32_t)(__atomic_load_n(&set[index / 2], __ATOMIC_RELAXED) >> index % 2 * 32);
}

static bool x2apic_mode(const struct vlapic *l)
{
    return l->base & APIC_BASE_EXTD;
}

/* ISR, TMR and IRR. */
static uint32_t set_read(const struct vlapic *l, uint64_t reg)
{
    if (UNLIKELY(l->config.vapic))
        return vapic_get(l->config.vapic, (uint32_t)reg) & ~(reg == REG_IRR ? (uint32_t)VAPIC_ILLEGAL : 0);
    if (reg >= REG_IRR)
        return set_part(l->irr, reg - REG_IRR);
    if (reg >= REG_TMR)
        return set_part(l->tmr, reg - REG_TMR);
    return set_part(l->isr, reg - REG_ISR);
}

uint32_t vlapic_reg_read(const struct vlapic *l, uint64_t reg, uint64_t now)
{
    switch (reg) {
    case REG_ID:
        return x2apic_mode(l) ? l->id : l->id << 24;
    case REG_VERSION:
        return VERSION;
    case REG_TPR:
        return vlapic_tpr(l);
    case REG_PPR:
        return UNLIKELY(l->config.vapic) ? vapic_ppr(l->config.vapic) : l->ppr;
    case REG_LDR:
        return x2apic_mode(l) ? l->ldr : l->ldr << 24;
    case REG_DFR:
        return l->dfr;
    case REG_SVR:
        return l->svr;
    case REG_ESR:
        return l->esr;
    case REG_ICR:
        return l->icr_low;
    case REG_ICR_HIGH:
        return l->icr_high;
    case REG_INITIAL:
        return l->initial;
    case REG_CURRENT:
        return vlapic_timer_current(l, now);
    case REG_DIVIDE:
        return l->divide;
    default:
        break;
    }
    if (is_lvt(reg))
        return l->lvt[reg - REG_LVT];
    if (reg - REG_ISR < 24)
        return set_read(l, reg);
    return 0; /* APR, EOI, RRD */
}

static void self_ipi(struct vlapic *l, uint8_t vector)
{
    if (vector < VECTOR_FIRST)
        vlapic_error(l, ESR_SEND_VECTOR);
    else
        vlapic_post(l, vector, false);
}

static bool icr_is_to_self(uint32_t icr)
{
    return ICR_SHORTHAND(icr) == APIC_TO_SELF && ICR_DELIVERY(icr) <= APIC_LOWEST;
}

/* SDM 11.6.1. IPIs but INIT are edge-triggered whatever the trigger bit says, and INIT de-assert is long gone. */
static void icr_send(struct vlapic *l, uint32_t icr, uint32_t dest)
{
    struct apic_message message = {
        .dest = dest,
        .dest_mode = icr & ICR_LOGICAL ? APIC_LOGICAL : APIC_PHYSICAL,
        .delivery = ICR_DELIVERY(icr),
        .vector = (uint8_t)icr,
        .trigger = APIC_EDGE,
        .shorthand = ICR_SHORTHAND(icr),
        .level = true,
    };
    bool fixed = message.delivery <= APIC_LOWEST;

    if (message.delivery == APIC_INIT && (icr & ICR_LEVEL) && !(icr & ICR_ASSERT))
        return;
    if (fixed && message.vector < VECTOR_FIRST)
        vlapic_error(l, ESR_SEND_VECTOR);
    else
        l->config.send(l->config.ctx, &message);
}

static void icr_write_xapic(struct vlapic *l, uint32_t value)
{
    uint32_t dest = l->icr_high >> 24;

    l->icr_low = value & ~ICR_BUSY;
    if (icr_is_to_self(l->icr_low))
        self_ipi(l, (uint8_t)value);
    else
        icr_send(l, l->icr_low, dest == 0xff ? APIC_BROADCAST : dest);
}

/* While the LAPIC is disabled by software, mask bits can't be cleared. */
static void lvt_write(struct vlapic *l, enum vlapic_lvt entry, uint32_t value, uint64_t now)
{
    if (!(l->svr & SVR_ENABLE))
        value |= LVT_MASKED;
    if (entry == LVT_TIMER) {
        /* Mode 3 is reserved, and so is 2 without TSC-deadline. */
        if (LVT_TIMER_MODE(value) > (l->config.tsc_deadline ? TIMER_DEADLINE : TIMER_PERIODIC))
            value &= ~(3u << 17);
        vlapic_timer_set_lvt(l, value, now);
    } else {
        __atomic_store_n(&l->lvt[entry], value, __ATOMIC_RELAXED);
        l->config.kick(l->config.ctx); /* LINT0 may let the PIC through now */
    }
}

static void svr_write(struct vlapic *l, uint32_t value, uint64_t now)
{
    vlapic_set_svr(l, value);
    if (!(value & SVR_ENABLE))
        vlapic_timer_set_lvt(l, l->lvt[LVT_TIMER], now);
}

/* Writing ESR shows what has come up since the last write (SDM 11.5.3). */
static void esr_write(struct vlapic *l)
{
    l->esr = __atomic_exchange_n(&l->errors, 0, __ATOMIC_RELAXED);
}

/* Whether software may change it depends on the processor (SDM 11.4.6); several LAPICs may then have one id. */
static void id_write(struct vlapic *l, uint8_t id)
{
    if (id != l->id)
        __atomic_store_n(l->config.renamed, true, __ATOMIC_SEQ_CST);
    __atomic_store_n(&l->id, id, __ATOMIC_SEQ_CST);
}

/* A register that is writable in both modes, ICR excepted; the value's bits are allowed. */
static void reg_write(struct vlapic *l, uint64_t reg, uint32_t value, uint64_t now)
{
    switch (reg) {
    case REG_EOI:
        vlapic_eoi(l);
        break;
    case REG_TPR:
        vlapic_set_tpr(l, (uint8_t)value);
        break;
    case REG_SVR:
        svr_write(l, value, now);
        break;
    case REG_ESR:
        esr_write(l);
        break;
    case REG_INITIAL:
        vlapic_timer_set_initial(l, value, now);
        break;
    case REG_DIVIDE:
        vlapic_timer_set_divide(l, value, now);
        break;
    default:
        lvt_write(l, reg - REG_LVT, value, now);
        break;
    }
}

void vlapic_xapic_write(struct vlapic *l, uint64_t reg, uint32_t value, uint64_t now)
{
    uint64_t own = BIT(REG_ID) | BIT(REG_LDR) | BIT(REG_DFR) | BIT(REG_ICR_HIGH);

    if (!reg_exists(WRITABLE | own, reg)) {
        /* VERSION, PPR and the like are read-only, which is no error. */
        if (!reg_exists(XAPIC_READABLE, reg))
            vlapic_error(l, ESR_REGISTER);
        return;
    }
    value &= writable_bits[reg];
    switch (reg) {
    case REG_ID:
        id_write(l, (uint8_t)(value >> 24));
        break;
    case REG_LDR:
        l->ldr = value >> 24;
        break;
    case REG_DFR:
        l->dfr = value | 0x0fffffff;
        break;
    case REG_ICR_HIGH:
        l->icr_high = value;
        break;
    case REG_ICR:
        icr_write_xapic(l, value);
        break;
    default:
        reg_write(l, reg, value, now);
        break;
    }
    vlapic_page_show_after(l, reg);
}

static uint32_t xapic_read(struct vlapic *l, uint64_t reg, uint64_t now)
{
    if (reg_exists(XAPIC_READABLE, reg))
        return vlapic_reg_read(l, reg, now);
    vlapic_error(l, ESR_REGISTER);
    return 0;
}

static NOINLINE enum bus_result mmio_read(struct vlapic *l, struct bus_access *access)
{
    uint64_t reg = access->addr >> 4, byte = access->addr & 0xf;

    vlapic_settle(l);
    access->value = byte < 4 ? xapic_read(l, reg, access->now) >> 8 * byte : 0;
    return BUS_OK;
}

static NOINLINE enum bus_result mmio_absent(struct bus_access *access)
{
    if (!access->write)
        access->value = UINT64_MAX;
    return BUS_UNCLAIMED;
}

/*
 * Registers are the first four of each 16 bytes. Software must use aligned dwords (SDM 11.4.1); of anything else, reads
 * give the bytes that are there, and writes vanish unless they cover the dword.
 */
enum bus_result vlapic_mmio(void *dev, struct bus_access *access)
{
    struct vlapic *l = dev;

    if (UNLIKELY((l->base & (APIC_BASE_EN | APIC_BASE_EXTD)) != APIC_BASE_EN))
        return mmio_absent(access);
    if (UNLIKELY(l->config.vapic))
        vlapic_page_adopt(l);
    if (!access->write)
        return mmio_read(l, access);
    if (UNLIKELY(access->addr & 0xf || access->size < 4))
        return BUS_OK;
    /* What is written most comes first. */
    if (access->addr == REG_EOI << 4)
        vlapic_eoi(l);
    else if (access->addr == REG_TPR << 4)
        vlapic_set_tpr(l, (uint8_t)access->value);
    else
        vlapic_xapic_write(l, access->addr >> 4, (uint32_t)access->value, access->now);
    return BUS_OK;
}

static NOINLINE enum bus_result x2apic_read(struct vlapic *l, struct bus_access *access)
{
    if (UNLIKELY(!reg_exists(READABLE, access->addr)))
        return BUS_FAULT;
    if (UNLIKELY(access->addr == REG_ICR))
        access->value = (uint64_t)l->icr_high << 32 | l->icr_low;
    else
        access->value = vlapic_reg_read(l, access->addr, access->now);
    return BUS_OK;
}

static NOINLINE enum bus_result x2apic_read_settled(struct vlapic *l, struct bus_access *access)
{
    vlapic_settle_eoi(l);
    return x2apic_read(l, access);
}

static bool icr_write_x2apic(struct vlapic *l, uint64_t value)
{
    if (UNLIKELY((uint32_t)value & ~writable_bits[REG_ICR]))
        return false;
    l->icr_low = (uint32_t)value & ~ICR_BUSY;
    l->icr_high = (uint32_t)(value >> 32);
    if (icr_is_to_self(l->icr_low))
        self_ipi(l, (uint8_t)value);
    else
        icr_send(l, l->icr_low, l->icr_high);
    return true;
}

static NOINLINE enum bus_result x2apic_write(struct vlapic *l, const struct bus_access *access)
{
    uint64_t reg = access->addr, writable;

    if (LIKELY(reg == REG_ICR)) /* read by way of the model only: there is nothing to show */
        return icr_write_x2apic(l, access->value) ? BUS_OK : BUS_FAULT;
    if (UNLIKELY(!reg_exists(X2APIC_WRITABLE, reg)))
        return BUS_FAULT;
    writable = writable_bits[reg] | (is_lvt(reg) ? LVT_READ_ONLY : 0);
    if (UNLIKELY(access->value & ~writable))
        return BUS_FAULT;
    if (reg == REG_SELF_IPI)
        self_ipi(l, (uint8_t)access->value);
    else
        reg_write(l, reg, (uint32_t)access->value & writable_bits[reg], access->now);
    vlapic_page_show_after(l, reg);
    return BUS_OK;
}

/* What is written most comes first. An EOI has to be 0. */
enum bus_result vlapic_msr(void *dev, struct bus_access *access)
{
    struct vlapic *l = dev;

    if (UNLIKELY(!x2apic_mode(l)))
        return BUS_FAULT;
    if (!access->write)
        return UNLIKELY(l->eoi_left_out) ? x2apic_read_settled(l, access) : x2apic_read(l, access);
    if (access->addr == REG_EOI && access->value == 0)
        vlapic_eoi(l);
    else if (access->addr == REG_TPR && access->value <= 0xff)
        vlapic_set_tpr(l, (uint8_t)access->value);
    else
        return x2apic_write(l, access);
    return BUS_OK;
}
