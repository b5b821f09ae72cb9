#include "drivers/virt/vpit.h"

#include "core/lib/string.h"
#include "drivers/virt/isa.h"
#include "drivers/virt/ticks.h"

#define PORT_CONTROL        3
#define SELECT_READ_BACK    3 /* bits 7-6 of a control word */
#define READ_BACK_NO_COUNT  BIT(5)
#define READ_BACK_NO_STATUS BIT(4)

#define ACCESS_LATCH 0
#define ACCESS_LOW   1
#define ACCESS_HIGH  2

#define STATUS_OUT  BIT(7)
#define STATUS_NULL BIT(6) /* the count that was written isn't loaded yet */

#define PORT61_GATE2   BIT(0)
#define PORT61_KEPT    0x0f
#define PORT61_REFRESH BIT(4)
#define PORT61_OUT2    BIT(5)
#define REFRESH_NS     15085 /* channel 1's period with its customary count of 18 */

#define NO_EDGE UINT64_MAX
#define MIN_GAP 100000 /* ns between two interrupts at least, lest a guest drowns itself */

static bool mode_periodic(uint32_t mode)
{
    return mode == 2 || mode == 3;
}

/* Modes 1 and 5 start at a rising edge of the gate. */
static bool mode_triggered(uint32_t mode)
{
    return mode == 1 || mode == 5;
}

static uint64_t channel_elapsed(const struct vpit_channel *c, uint64_t tick)
{
    if (c->state != VPIT_RUNNING)
        return c->held;
    /* A count is loaded by the clock after it was written. */
    return tick > c->start ? tick - c->start : 0;
}

static void channel_start(struct vpit_channel *c, uint64_t tick)
{
    c->state = VPIT_RUNNING;
    c->start = tick + 1;
    c->held = 0;
}

static NOINLINE void channel_take_over(struct vpit_channel *c, uint64_t tick)
{
    if (c->state != VPIT_RUNNING || !mode_periodic(c->mode) || tick < c->next_at)
        return;
    c->start = c->next_at;
    c->count = c->next;
    c->next = 0;
}

/* At the end of a period, a new count takes over. */
static inline void channel_sync(struct vpit_channel *c, uint64_t tick)
{
    if (UNLIKELY(c->next))
        channel_take_over(c, tick);
}

/* The output in mode 0: the count has come to its end. */
static inline bool channel_ended(const struct vpit_channel *c, uint64_t tick)
{
    return c->state != VPIT_IDLE && channel_elapsed(c, tick) >= c->count;
}

static bool channel_out(const struct vpit_channel *c, uint64_t tick)
{
    uint64_t elapsed = channel_elapsed(c, tick);

    if (c->mode == 0)
        return channel_ended(c, tick);
    if (c->state == VPIT_IDLE || c->count == 0)
        return true;
    switch (c->mode) {
    case 1:
        return elapsed >= c->count;
    case 2:
        return elapsed % c->count != c->count - 1;
    case 3:
        return elapsed % c->count < (c->count + 1) / 2;
    default:
        return elapsed != c->count;
    }
}

/* Mode 3 counts by two, twice a period; an odd count is high for one tick longer. */
static uint64_t square_value(const struct vpit_channel *c, uint64_t elapsed)
{
    uint64_t high = (c->count + 1) / 2, phase = elapsed % c->count;

    return (c->count & ~1u) - 2 * (phase < high ? phase : phase - high);
}

static uint16_t to_bcd(uint64_t value)
{
    value %= 10000;
    return (uint16_t)(value % 10 | value / 10 % 10 << 4 | value / 100 % 10 << 8 | value / 1000 << 12);
}

/* The counting element as the guest reads it: 16 bits, or four decimal digits. */
static uint16_t channel_value(const struct vpit_channel *c, uint64_t tick)
{
    uint64_t elapsed = channel_elapsed(c, tick);

    if (c->mode == 3 && c->count)
        elapsed = c->count - square_value(c, elapsed);
    else if (c->mode == 2 && c->count)
        elapsed %= c->count;
    if (UNLIKELY(c->bcd))
        return to_bcd(c->count + 10000 - elapsed % 10000);
    return (uint16_t)(c->count - elapsed);
}

/* 1 to 65536 (or 10000) ticks; 0 is the largest. */
static uint32_t count_decode(const struct vpit_channel *c, uint16_t value)
{
    uint32_t decimal = (value & 15u) + (value >> 4 & 15u) * 10 + (value >> 8 & 15u) * 100 +
                       (value >> 12) * 1000u;

    if (value == 0)
        return c->bcd ? 10000 : 65536;
    return c->bcd ? decimal : value;
}

static void channel_load(struct vpit_channel *c, uint32_t count, uint64_t tick)
{
    if (mode_triggered(c->mode)) {
        c->next = count;
    } else if (mode_periodic(c->mode) && c->state == VPIT_RUNNING) {
        c->next = count;
        c->next_at = c->start + (channel_elapsed(c, tick) / c->count + 1) * c->count;
    } else {
        c->count = count;
        channel_start(c, tick);
        if (!c->gate)
            c->state = mode_periodic(c->mode) ? VPIT_IDLE : VPIT_PAUSED;
    }
}

static void gate_rise(struct vpit_channel *c, uint64_t tick)
{
    if (mode_triggered(c->mode) || mode_periodic(c->mode)) {
        if (c->next)
            c->count = c->next;
        c->next = 0;
        if (c->count)
            channel_start(c, tick);
    } else if (c->state == VPIT_PAUSED) {
        c->start = tick - c->held;
        c->state = VPIT_RUNNING;
    }
}

static void gate_fall(struct vpit_channel *c, uint64_t tick)
{
    if (c->state != VPIT_RUNNING || mode_triggered(c->mode))
        return;
    c->held = channel_elapsed(c, tick);
    c->state = mode_periodic(c->mode) ? VPIT_IDLE : VPIT_PAUSED;
}

static void channel_set_gate(struct vpit_channel *c, bool gate, uint64_t tick)
{
    if (gate == c->gate)
        return;
    channel_sync(c, tick);
    c->gate = gate;
    if (gate)
        gate_rise(c, tick);
    else
        gate_fall(c, tick);
}

/* The tick of the rising edge that follows after the count was loaded. */
static uint64_t channel_first_edge(const struct vpit_channel *c)
{
    if (c->state != VPIT_RUNNING)
        return NO_EDGE;
    return c->start + c->count + (c->mode == 4 || c->mode == 5);
}

static void edge_arm(struct vpit *p, uint64_t not_before)
{
    if (p->edge == NO_EDGE)
        timer_disarm(&p->timer);
    else
        timer_arm(&p->timer, MAX(ticks_ns(p->edge, VPIT_HZ), not_before));
}

/* Moves to the edge after the one that was delivered, and drops those that are more than the backlog behind. */
static void edge_advance(struct vpit *p, uint64_t tick)
{
    struct vpit_channel *c = &p->channels[0];
    uint64_t behind;

    channel_sync(c, tick);
    if (!mode_periodic(c->mode)) {
        p->edge = NO_EDGE;
        return;
    }
    /* A new count has taken over meanwhile: on from where it did. */
    p->edge = p->edge < c->start ? c->start : p->edge + c->count;
    behind = p->edge <= tick ? (tick - p->edge) / c->count + 1 : 0;
    if (behind > VPIT_BACKLOG)
        p->edge += (behind - VPIT_BACKLOG) * c->count;
}

static void edge_fire(struct timer *timer, uint64_t now)
{
    struct vpit *p = CONTAINER_OF(timer, struct vpit, timer);
    uint64_t tick = ticks_at(now, VPIT_HZ), gap = MIN_GAP;

    if (p->channels[0].mode != 0)
        irq_pin_set(&p->pin, false);
    irq_pin_set(&p->pin, true);
    edge_advance(p, tick);
    if (p->edge <= tick)
        gap = MAX(ticks_ns(p->channels[0].count, VPIT_HZ) / 4, MIN_GAP);
    edge_arm(p, now + gap);
}

/* Channel 0 was programmed: its output goes to where the mode starts. A count for the next period changes nothing yet. */
static void channel0_changed(struct vpit *p)
{
    struct vpit_channel *c = &p->channels[0];

    if (mode_periodic(c->mode) && c->next)
        return;
    irq_pin_set(&p->pin, c->mode != 0);
    p->edge = channel_first_edge(c);
    edge_arm(p, 0);
}

/* Takes one byte; returns true when that completes a count. */
static bool count_collect(struct vpit_channel *c, uint8_t byte, uint16_t *value)
{
    *value = c->access == ACCESS_HIGH ? byte << 8 : byte;
    if (c->access != (ACCESS_LOW | ACCESS_HIGH))
        return true;
    *value = byte << 8 | c->written_low;
    c->written_low = byte;
    c->write_high = !c->write_high;
    return !c->write_high;
}

static void count_write(struct vpit *p, struct vpit_channel *c, uint8_t byte, uint64_t tick)
{
    uint16_t value;

    channel_sync(c, tick);
    if (count_collect(c, byte, &value))
        channel_load(c, count_decode(c, value), tick);
    else if (c->mode == 0)
        c->state = VPIT_IDLE; /* the first of two bytes stops the count */
    else
        return;
    if (c == &p->channels[0])
        channel0_changed(p);
}

static void latch_count(struct vpit_channel *c, uint64_t tick)
{
    if (c->count_latched)
        return;
    c->latch = channel_value(c, tick);
    c->count_latched = true;
}

static void latch_status(struct vpit_channel *c, uint64_t tick)
{
    bool null = c->next || c->count == 0 || (c->state == VPIT_RUNNING && tick < c->start);

    if (c->status_latched)
        return;
    c->status = (channel_out(c, tick) ? STATUS_OUT : 0) | (null ? STATUS_NULL : 0) |
                (uint8_t)(c->access << 4 | c->mode << 1 | c->bcd);
    c->status_latched = true;
}

static void read_back(struct vpit *p, uint8_t command, uint64_t tick)
{
    for (uint32_t i = 0; i < ARRAY_SIZE(p->channels); i++) {
        if (!(command & BIT(i + 1)))
            continue;
        channel_sync(&p->channels[i], tick);
        if (!(command & READ_BACK_NO_COUNT))
            latch_count(&p->channels[i], tick);
        if (!(command & READ_BACK_NO_STATUS))
            latch_status(&p->channels[i], tick);
    }
}

static void mode_write(struct vpit_channel *c, uint8_t word)
{
    uint8_t mode = word >> 1 & 7;

    if (mode > 5)
        mode -= 4; /* 6 and 7 are 2 and 3 */
    *c = (struct vpit_channel){
        .mode = mode,
        .rare = mode != 0 && mode != 2,
        .access = word >> 4 & 3,
        .bcd = word & 1,
        .gate = c->gate,
    };
}

static void control_write(struct vpit *p, uint8_t word, uint64_t now)
{
    uint64_t tick = ticks_at(now, VPIT_HZ);
    struct vpit_channel *c;

    if (word >> 6 == SELECT_READ_BACK) {
        read_back(p, word, tick);
        return;
    }
    c = &p->channels[word >> 6];
    if ((word >> 4 & 3) == ACCESS_LATCH) {
        channel_sync(c, tick);
        latch_count(c, tick);
        return;
    }
    mode_write(c, word);
    if (c == &p->channels[0])
        channel0_changed(p);
}

static NOINLINE enum bus_result count_read_any(struct vpit_channel *c, uint64_t tick,
                                               struct bus_access *access)
{
    uint16_t value = c->latch;
    bool high = c->access == ACCESS_HIGH || c->read_high;

    if (c->status_latched) {
        c->status_latched = false;
        access->value = c->status;
        return BUS_OK;
    }
    if (!c->count_latched) {
        channel_sync(c, tick);
        value = channel_value(c, tick);
    }
    if (c->access == (ACCESS_LOW | ACCESS_HIGH))
        c->read_high = !c->read_high;
    if (!c->read_high)
        c->count_latched = false;
    access->value = high ? value >> 8 : value & 0xff;
    return BUS_OK;
}

/* Who reads counts over and over doesn't latch them, and uses mode 0 or 2. */
static NOINLINE enum bus_result count_read(struct vpit_channel *c, struct bus_access *access)
{
    uint64_t tick = ticks_at(access->now, VPIT_HZ), elapsed;
    bool high = c->access == ACCESS_HIGH || c->read_high;

    if (c->status_latched || c->count_latched || c->bcd || c->rare || UNLIKELY(c->next))
        return count_read_any(c, tick, access);
    elapsed = channel_elapsed(c, tick);
    if (c->mode == 2 && c->count)
        elapsed %= c->count;
    c->read_high ^= c->access == (ACCESS_LOW | ACCESS_HIGH);
    access->value = (uint8_t)((c->count - elapsed) >> (high ? 8 : 0));
    return BUS_OK;
}

/* All but reads of a count. */
static NOINLINE enum bus_result ports_other(struct vpit *p, struct bus_access *access)
{
    if (access->size != 1)
        return isa_split(vpit_ports, p, access);
    if (!access->write)
        return BUS_UNCLAIMED; /* the control port */
    if (access->addr == PORT_CONTROL)
        control_write(p, (uint8_t)access->value, access->now);
    else
        count_write(p, &p->channels[access->addr], (uint8_t)access->value, ticks_at(access->now, VPIT_HZ));
    return BUS_OK;
}

enum bus_result vpit_ports(void *dev, struct bus_access *access)
{
    struct vpit *p = dev;

    if (access->size != 1 || access->write || access->addr == PORT_CONTROL)
        return ports_other(p, access);
    return count_read(&p->channels[access->addr], access);
}

static inline uint8_t port61_value(const struct vpit *p, uint64_t now, bool out)
{
    return p->port61 | (out ? PORT61_OUT2 : 0) | (now / REFRESH_NS % 2 ? PORT61_REFRESH : 0);
}

static NOINLINE enum bus_result port61_other(struct vpit *p, struct bus_access *access)
{
    struct vpit_channel *c = &p->channels[2];
    uint64_t tick = ticks_at(access->now, VPIT_HZ);

    if (access->size != 1)
        return isa_split(vpit_port61, p, access);
    if (access->write) {
        p->port61 = access->value & PORT61_KEPT;
        channel_set_gate(c, p->port61 & PORT61_GATE2, tick);
    } else {
        channel_sync(c, tick);
        access->value = port61_value(p, access->now, channel_out(c, tick));
    }
    return BUS_OK;
}

/* Who reads it over and over waits for the end of a count in mode 0, which no other count can follow. */
enum bus_result vpit_port61(void *dev, struct bus_access *access)
{
    struct vpit *p = dev;
    struct vpit_channel *c = &p->channels[2];

    if (access->size != 1 || access->write || c->mode != 0)
        return port61_other(p, access);
    access->value = port61_value(p, access->now, channel_ended(c, ticks_at(access->now, VPIT_HZ)));
    return BUS_OK;
}

void vpit_reset(struct vpit *p)
{
    timer_disarm(&p->timer);
    memset(p->channels, 0, sizeof(p->channels));
    for (uint32_t i = 0; i < ARRAY_SIZE(p->channels); i++)
        p->channels[i].access = ACCESS_LOW | ACCESS_HIGH;
    p->channels[0].gate = p->channels[1].gate = true;
    p->port61 = 0;
    p->edge = NO_EDGE;
    irq_pin_set(&p->pin, false);
}

void vpit_init(struct vpit *p, const struct irq_pin *pin, struct timer_queue *timers)
{
    memset(p, 0, sizeof(*p));
    p->pin = *pin;
    timer_init(&p->timer, timers, edge_fire);
    vpit_reset(p);
}
