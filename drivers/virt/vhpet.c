#include "drivers/virt/vhpet.h"

#include "core/lib/string.h"
#include "drivers/virt/ticks.h"

/* Registers (2.3.2); each has 64 bits. */
#define REG_CAPABILITIES  0x000
#define REG_CONFIGURATION 0x010
#define REG_STATUS        0x020
#define REG_COUNTER       0x0f0
#define REG_TIMERS        0x100 /* for each 32 bytes: configuration, comparator, message */

enum { TIMER_CONFIGURATION, TIMER_COMPARATOR, TIMER_MESSAGE, TIMER_REGISTERS };

#define ENABLE_RUN    BIT(0)
#define ENABLE_LEGACY BIT(1)
#define ENABLE_KEPT   (ENABLE_RUN | ENABLE_LEGACY)

/* A timer's configuration and capabilities (2.3.8). */
#define TIMER_LEVEL        BIT(1)
#define TIMER_INTERRUPTS   BIT(2)
#define TIMER_PERIODIC     BIT(3)
#define TIMER_CAN_PERIODIC BIT(4)
#define TIMER_CAN_64       BIT(5)
#define TIMER_SET_VALUE    BIT(6) /* the next write of the comparator sets the accumulator, too; clears itself */
#define TIMER_32           BIT(8)
#define TIMER_ROUTE(c)     ((uint32_t)((c) >> 9) & 0x1f)
#define TIMER_ROUTE_MASK   (0x1full << 9)
#define TIMER_FSB          BIT(14)
#define TIMER_CAN_FSB      BIT(15)
#define TIMER_KEPT                                                                                           \
    (TIMER_LEVEL | TIMER_INTERRUPTS | TIMER_PERIODIC | TIMER_SET_VALUE | TIMER_32 | TIMER_ROUTE_MASK |       \
     TIMER_FSB)
#define TIMER_CAN (TIMER_CAN_PERIODIC | TIMER_CAN_64 | TIMER_CAN_FSB | (uint64_t)VHPET_PINS << 32)

#define WIRE_LEGACY 32
#define WIRE_NONE   UINT8_MAX
#define FAR_AWAY    BIT(56) /* ticks: a match beyond this never comes */

bool vhpet_running(const struct vhpet *h)
{
    return h->enable & ENABLE_RUN;
}

/* Both bits are needed (2.3.5). */
bool vhpet_replaces(const struct vhpet *h)
{
    return h->enable == (ENABLE_RUN | ENABLE_LEGACY);
}

const char *vhpet_use(const struct vhpet *h, uint32_t n)
{
    const struct vhpet_timer *t = &h->timers[n];

    if (!vhpet_running(h) || !(t->config & TIMER_INTERRUPTS))
        return "none";
    return t->config & TIMER_PERIODIC ? "periodic" : "oneshot";
}

static uint64_t counter_at(const struct vhpet *h, uint64_t now)
{
    return vhpet_running(h) ? h->counter + ticks_at(now, VHPET_HZ) : h->counter;
}

/* -- wires ------------------------------------------------------------------------------------------------------ */

static bool wire_held(const struct vhpet *h, uint32_t wire)
{
    for (uint32_t i = 0; i < VHPET_TIMERS; i++)
        if (h->timers[i].wire == wire)
            return true;
    return false;
}

/* Timers may share a pin; the PIT and the RTC reach theirs while no timer replaces them. */
static void wire_drive(struct vhpet *h, uint32_t wire)
{
    bool level = wire_held(h, wire);

    if (wire == WIRE_NONE)
        return;
    if (wire < WIRE_LEGACY)
        h->config.set(h->config.listener, wire, level);
    else
        irq_pin_set(&h->config.legacy[wire - WIRE_LEGACY],
                    vhpet_replaces(h) ? level : h->inputs[wire - WIRE_LEGACY]);
}

static void timer_hold(struct vhpet_timer *t, uint32_t wire)
{
    uint32_t before = t->wire;

    if (before == wire)
        return;
    t->wire = (uint8_t)wire;
    wire_drive(t->hpet, before);
    wire_drive(t->hpet, wire);
}

static uint32_t timer_index(const struct vhpet_timer *t)
{
    return (uint32_t)(t - t->hpet->timers);
}

/* Where the timer's interrupts go; a message needs no wire (2.4.3). */
static uint32_t timer_wire(const struct vhpet_timer *t)
{
    uint32_t n = timer_index(t), route = TIMER_ROUTE(t->config);

    if (!vhpet_running(t->hpet) || !(t->config & TIMER_INTERRUPTS) || (t->config & TIMER_FSB))
        return WIRE_NONE;
    if (vhpet_replaces(t->hpet) && n < VHPET_LEGACY_COUNT)
        return WIRE_LEGACY + n;
    return VHPET_PINS & BIT(route) ? route : WIRE_NONE;
}

static bool timer_pending(const struct vhpet_timer *t)
{
    return t->hpet->status & BIT(timer_index(t));
}

/* A level is there while its status is; an edge's wire stays high until the next, as long as it is the timer's. */
static void timer_drive(struct vhpet_timer *t)
{
    uint32_t wire = timer_wire(t);

    if (t->config & TIMER_LEVEL)
        timer_hold(t, timer_pending(t) ? wire : WIRE_NONE);
    else if (t->wire != wire)
        timer_hold(t, WIRE_NONE);
}

static void timer_interrupt(struct vhpet_timer *t)
{
    const struct vmsi_port *fsb = &t->hpet->config.fsb;

    if (t->config & TIMER_LEVEL)
        t->hpet->status |= BIT(timer_index(t));
    if (!vhpet_running(t->hpet) || !(t->config & TIMER_INTERRUPTS))
        return;
    t->hpet->interrupts++;
    if (t->config & TIMER_FSB) {
        fsb->send(fsb->ctx, t->message >> 32, (uint32_t)t->message);
    } else if (t->config & TIMER_LEVEL) {
        timer_drive(t);
    } else {
        timer_hold(t, WIRE_NONE);
        timer_hold(t, timer_wire(t));
    }
}

/* -- matches ---------------------------------------------------------------------------------------------------- */

static uint64_t timer_mask(const struct vhpet_timer *t)
{
    return t->config & TIMER_32 ? UINT32_MAX : UINT64_MAX;
}

/* Steps of the counter from `seen` to the next match: at least 1. After 2^64 steps is never. */
static uint64_t timer_distance(const struct vhpet_timer *t)
{
    uint64_t mask = timer_mask(t), steps = (t->comparator - t->seen) & mask;

    if (steps)
        return steps;
    return mask == UINT64_MAX ? UINT64_MAX : mask + 1;
}

/* The next match of a periodic timer is the first behind the counter (2.3.9.2.2). */
static void timer_advance(struct vhpet_timer *t, uint64_t late)
{
    if ((t->config & TIMER_PERIODIC) && t->period)
        t->comparator = (t->comparator + (late / t->period + 1) * t->period) & timer_mask(t);
}

/* Finds what has happened since the last time; to be called before anything changes that matches depend on. */
static bool timer_settle(struct vhpet_timer *t, uint64_t counter)
{
    uint64_t distance = timer_distance(t), steps = counter - t->seen;

    if ((int64_t)steps <= 0)
        return false; /* another vCPU's access, begun later, was first */
    t->seen = counter;
    if (steps < distance)
        return false;
    timer_advance(t, steps - distance);
    timer_interrupt(t);
    return true;
}

/* When the timer's next interrupt is due. One that waits for its status to be cleared has none. */
static uint64_t timer_due(const struct vhpet_timer *t)
{
    uint64_t distance = timer_distance(t);

    if (!vhpet_running(t->hpet) || !(t->config & TIMER_INTERRUPTS) || distance >= FAR_AWAY)
        return TIMER_NEVER;
    if ((t->config & TIMER_LEVEL) && timer_pending(t))
        return TIMER_NEVER;
    return ticks_ns(t->seen - t->hpet->counter + distance, VHPET_HZ);
}

static void timer_fire(struct timer *timer, uint64_t now)
{
    struct vhpet_timer *t = CONTAINER_OF(timer, struct vhpet_timer, timer);
    uint64_t due;

    timer_settle(t, counter_at(t->hpet, now));
    due = timer_due(t);
    timer_arm(timer, t->config & TIMER_PERIODIC ? MAX(due, now + VHPET_MIN_PERIOD) : due);
}

static void hpet_settle(struct vhpet *h, uint64_t now)
{
    for (uint32_t i = 0; i < VHPET_TIMERS && vhpet_running(h); i++)
        if (timer_settle(&h->timers[i], counter_at(h, now)))
            timer_arm(&h->timers[i].timer, timer_due(&h->timers[i]));
}

/* After anything was written: wires and deadlines as things are now. */
static void hpet_update(struct vhpet *h)
{
    for (uint32_t i = 0; i < VHPET_TIMERS; i++) {
        timer_drive(&h->timers[i]);
        timer_arm(&h->timers[i].timer, timer_due(&h->timers[i]));
    }
}

/* -- registers -------------------------------------------------------------------------------------------------- */

/* Only to be written while it is halted (2.3.7); otherwise it goes on from there. */
static void counter_set(struct vhpet *h, uint64_t value, uint64_t now)
{
    h->counter = vhpet_running(h) ? value - ticks_at(now, VHPET_HZ) : value;
    for (uint32_t i = 0; i < VHPET_TIMERS; i++)
        h->timers[i].seen = value;
}

static void enable_write(struct vhpet *h, uint64_t value, uint64_t now)
{
    uint64_t counter = counter_at(h, now);
    bool ran = vhpet_running(h);

    h->enable = value & ENABLE_KEPT;
    if (ran != vhpet_running(h))
        counter_set(h, counter, now);
    hpet_update(h);
    for (uint32_t i = 0; i < VHPET_LEGACY_COUNT; i++)
        wire_drive(h, WIRE_LEGACY + i);
}

/* A pin that the timer can't have isn't taken on; an edge has no status, and a level that was there ends. */
static void timer_configure(struct vhpet_timer *t, uint64_t value)
{
    uint64_t config = value & TIMER_KEPT;

    if (!(VHPET_PINS & BIT(TIMER_ROUTE(config))))
        config = (config & ~TIMER_ROUTE_MASK) | (t->config & TIMER_ROUTE_MASK);
    if ((t->config ^ config) & TIMER_LEVEL) {
        t->hpet->status &= ~BIT(timer_index(t));
        timer_hold(t, WIRE_NONE);
    }
    t->config = config;
    t->comparator &= timer_mask(t);
    t->period &= timer_mask(t);
}

/*
 * Of a periodic timer this is the period, and with TIMER_SET_VALUE the accumulator as well: chipsets differ in whether that
 * sets the period, too, and systems write both. A match with the counter's present value is one.
 */
static void comparator_write(struct vhpet_timer *t, uint64_t value, uint64_t mask, uint64_t counter)
{
    bool periodic = t->config & TIMER_PERIODIC;

    mask &= timer_mask(t);
    if (periodic)
        t->period = (t->period & ~mask) | (value & mask);
    if (!periodic || (t->config & TIMER_SET_VALUE)) {
        t->comparator = (t->comparator & ~mask) | (value & mask);
        t->seen = counter - 1;
    }
    t->config &= ~TIMER_SET_VALUE;
}

static uint64_t timer_register(const struct vhpet_timer *t, uint32_t reg)
{
    switch (reg) {
    case TIMER_CONFIGURATION:
        return t->config | TIMER_CAN;
    case TIMER_COMPARATOR:
        return t->comparator;
    case TIMER_MESSAGE:
        return t->message;
    default:
        return 0;
    }
}

static uint64_t register_read(const struct vhpet *h, uint64_t reg, uint64_t now)
{
    uint64_t n = (reg - REG_TIMERS) / 32;

    switch (reg) {
    case REG_CAPABILITIES:
        return (uint64_t)VHPET_PERIOD_FS << 32 | VHPET_ID;
    case REG_CONFIGURATION:
        return h->enable;
    case REG_STATUS:
        return h->status;
    case REG_COUNTER:
        return counter_at(h, now);
    default:
        return reg >= REG_TIMERS && n < VHPET_TIMERS ? timer_register(&h->timers[n], reg / 8 % 4) : 0;
    }
}

static void timer_write(struct vhpet_timer *t, uint32_t reg, uint64_t value, uint64_t mask, uint64_t now)
{
    uint64_t whole = (timer_register(t, reg) & ~mask) | (value & mask);

    if (reg == TIMER_CONFIGURATION)
        timer_configure(t, whole);
    else if (reg == TIMER_COMPARATOR)
        comparator_write(t, value, mask, counter_at(t->hpet, now));
    else if (reg == TIMER_MESSAGE)
        t->message = whole;
}

/* Writes the bits of the mask. A status is cleared by a one. */
static void register_write(struct vhpet *h, uint64_t reg, uint64_t value, uint64_t mask, uint64_t now)
{
    uint64_t whole = (register_read(h, reg, now) & ~mask) | (value & mask), n = (reg - REG_TIMERS) / 32;

    if (reg == REG_CONFIGURATION)
        enable_write(h, whole, now);
    else if (reg == REG_STATUS)
        h->status &= ~(value & mask);
    else if (reg == REG_COUNTER)
        counter_set(h, whole, now);
    else if (reg >= REG_TIMERS && n < VHPET_TIMERS)
        timer_write(&h->timers[n], reg / 8 % 4, value, mask, now);
}

/* Aligned dwords and quadwords (2.3.1); anything else is undefined. */
static bool access_sound(const struct bus_access *access)
{
    return (access->size == 4 || access->size == 8) && IS_ALIGNED(access->addr, access->size);
}

enum bus_result vhpet_mmio(void *dev, struct bus_access *access)
{
    struct vhpet *h = dev;
    uint64_t reg = access->addr & ~7ull, now = access->now;
    uint32_t shift = (uint32_t)(access->addr & 4) * 8;
    uint64_t mask = (access->size == 8 ? UINT64_MAX : UINT32_MAX) << shift;

    if (UNLIKELY(!access_sound(access)))
        return BUS_UNCLAIMED;
    if (!access->write && reg == REG_COUNTER) {
        access->value = counter_at(h, now) >> shift;
        return BUS_OK;
    }
    hpet_settle(h, now);
    if (access->write) {
        register_write(h, reg, access->value << shift, mask, now);
        hpet_update(h);
    } else {
        access->value = register_read(h, reg, now) >> shift;
    }
    return BUS_OK;
}

void vhpet_set_legacy(void *dev, uint32_t line, bool level)
{
    struct vhpet *h = dev;

    h->inputs[line] = level;
    if (LIKELY(!vhpet_replaces(h)))
        irq_pin_set(&h->config.legacy[line], level);
}

void vhpet_reset(struct vhpet *h)
{
    h->enable = h->status = h->counter = 0;
    for (uint32_t i = 0; i < VHPET_TIMERS; i++) {
        struct vhpet_timer *t = &h->timers[i];

        timer_disarm(&t->timer);
        t->config = t->period = t->message = t->seen = 0;
        t->comparator = UINT64_MAX;
        timer_hold(t, WIRE_NONE);
    }
    for (uint32_t i = 0; i < VHPET_LEGACY_COUNT; i++)
        wire_drive(h, WIRE_LEGACY + i);
}

void vhpet_init(struct vhpet *h, const struct vhpet_config *config)
{
    memset(h, 0, sizeof(*h));
    h->config = *config;
    for (uint32_t i = 0; i < VHPET_TIMERS; i++) {
        h->timers[i].hpet = h;
        h->timers[i].wire = WIRE_NONE;
        timer_init(&h->timers[i].timer, config->timers, timer_fire);
    }
    vhpet_reset(h);
}
