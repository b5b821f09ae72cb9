#include "drivers/virt/vpic.h"

#include "core/lib/string.h"
#include "drivers/virt/isa.h"

#define ICW1             BIT(4) /* at the even port: this is ICW1 ... */
#define ICW1_WANTS4      BIT(0)
#define ICW1_SINGLE      BIT(1)
#define ICW4_AEOI        BIT(1)
#define ICW4_NESTED      BIT(4) /* special fully nested mode */
#define OCW3             BIT(3) /* ... or this OCW3, else OCW2 */
#define OCW3_READ        BIT(1) /* bit 0 says which register */
#define OCW3_ISR         BIT(0)
#define OCW3_POLL        BIT(2)
#define OCW3_SPECIAL     BIT(5) /* special mask mode, if bit 6 allows */
#define OCW3_SET_SPECIAL BIT(6)

#define POLL_INT     0x80
#define DEFAULT_LINE 7 /* what INTA gives when nothing is requested */

/* Inputs of the ELCR that are edge-triggered for good: IRQ 0-2, 8 and 13. */
static const uint8_t elcr_writable[2] = {0xf8, 0xde};

static uint8_t chip_requests(const struct vpic_chip *c)
{
    uint8_t by_level = c->elcr | c->cascade;

    return (c->edges & ~by_level) | (c->lines & by_level);
}

/* The first of those that are wanted, or -1: of a higher priority than all that is in service. */
static int chip_first(const struct vpic_chip *c, uint8_t wanted)
{
    uint8_t busy = c->isr;

    /* In special mask mode, what is masked doesn't hold up others; nested, a slave may interrupt itself. */
    if (c->special_mask)
        busy &= ~c->imr;
    if (c->nested)
        busy &= ~c->cascade;
    for (uint32_t i = 0; i < 8; i++) {
        uint32_t line = (c->first + i) % 8;

        if (busy & BIT(line))
            return -1;
        if (wanted & BIT(line))
            return (int)line;
    }
    return -1;
}

/* The input that may interrupt now, or -1. */
static inline int chip_pending(const struct vpic_chip *c)
{
    uint8_t wanted = chip_requests(c) & ~c->imr;

    return LIKELY(wanted == 0) || c->icw != 0 ? -1 : chip_first(c, wanted);
}

/* Brings the slave's output and the pin up to date. */
static void pic_update(struct vpic *p)
{
    struct vpic_chip *master = &p->chips[0];
    bool level;

    if (chip_pending(&p->chips[1]) >= 0)
        master->lines |= master->cascade;
    else
        master->lines &= ~master->cascade;
    level = chip_pending(master) >= 0;
    if (level == p->level)
        return;
    __atomic_store_n(&p->level, level, __ATOMIC_RELAXED);
    irq_pin_set(&p->out, level);
}

void vpic_set_line(void *dev, uint32_t line, bool level)
{
    struct vpic *p = dev;
    struct vpic_chip *c = &p->chips[line >> 3 & 1];
    uint8_t bit = (uint8_t)BIT(line & 7);

    if (!!(c->lines & bit) == level || (bit & c->cascade))
        return;
    c->lines ^= bit;
    if (level && !(c->elcr & bit))
        c->edges |= bit;
    pic_update(p);
}

static void chip_acknowledge(struct vpic_chip *c, uint32_t line)
{
    c->edges &= ~BIT(line);
    if (!c->auto_eoi)
        c->isr |= BIT(line);
    else if (c->rotate_auto_eoi)
        c->first = (line + 1) % 8;
}

int vpic_peek(const struct vpic *p)
{
    const struct vpic_chip *chip = &p->chips[0];
    int line;

    if (LIKELY(!vpic_asserted(p)))
        return -1;
    line = chip_pending(chip);
    if (line < 0)
        return chip->base + DEFAULT_LINE;
    if (BIT(line) & chip->cascade) {
        chip = &p->chips[1];
        line = chip_pending(chip);
        if (line < 0)
            line = DEFAULT_LINE;
    }
    return chip->base + line;
}

/* INTA for one input: a default interrupt, if it isn't requested any more, leaves no mark in ISR. */
static void chip_accept(struct vpic_chip *c, uint32_t line)
{
    if (line != DEFAULT_LINE || (chip_requests(c) & BIT(line)))
        chip_acknowledge(c, line);
}

void vpic_accept(struct vpic *p, int vector)
{
    struct vpic_chip *master = &p->chips[0], *slave = &p->chips[1];
    uint32_t line = vector & 7;

    if ((vector & ~7) == master->base && !(BIT(line) & master->cascade)) {
        chip_accept(master, line);
    } else {
        chip_accept(slave, line);
        chip_acknowledge(master, 2);
    }
    pic_update(p);
}

static void icw1_write(struct vpic_chip *c, uint8_t value)
{
    c->edges = 0;
    c->imr = c->isr = 0;
    c->first = 0;
    c->single = value & ICW1_SINGLE;
    c->wants_icw4 = value & ICW1_WANTS4;
    c->auto_eoi = c->rotate_auto_eoi = c->special_mask = c->nested = false;
    c->poll = c->read_isr = false;
    c->icw = 2;
}

/* ICW2 to ICW4. ICW3 says how the chips are wired: we know. */
static void icw_write(struct vpic_chip *c, uint8_t value)
{
    if (c->icw == 2) {
        c->base = value & 0xf8;
        c->icw = c->single ? 4 : 3;
    } else if (c->icw == 3) {
        c->icw = 4;
    } else {
        c->auto_eoi = value & ICW4_AEOI;
        c->nested = value & ICW4_NESTED;
        c->icw = 0;
    }
    if (c->icw == 4 && !c->wants_icw4)
        c->icw = 0;
}

/* Ends the interrupt of the highest priority that special mask mode doesn't hide; returns its input, or -1. */
static int chip_eoi(struct vpic_chip *c)
{
    uint8_t busy = c->special_mask ? c->isr & ~c->imr : c->isr;

    for (uint32_t i = 0; i < 8; i++) {
        uint32_t line = (c->first + i) % 8;

        if (busy & BIT(line)) {
            c->isr &= ~BIT(line);
            return (int)line;
        }
    }
    return -1;
}

/* Bits 7-5: rotate, specific, EOI. */
static void ocw2_write(struct vpic_chip *c, uint8_t value)
{
    uint32_t line = value & 7;
    int ended;

    switch (value >> 5) {
    case 0:
    case 4:
        c->rotate_auto_eoi = value >> 7;
        break;
    case 1:
    case 5:
        ended = chip_eoi(c);
        if (ended >= 0 && value >> 7)
            c->first = (ended + 1) % 8;
        break;
    case 3:
        c->isr &= ~BIT(line);
        break;
    case 7:
        c->isr &= ~BIT(line);
        c->first = (line + 1) % 8;
        break;
    case 6:
        c->first = (line + 1) % 8;
        break;
    default: /* 2: no operation */
        break;
    }
}

static void ocw3_write(struct vpic_chip *c, uint8_t value)
{
    if (value & OCW3_SET_SPECIAL)
        c->special_mask = value & OCW3_SPECIAL;
    if (value & OCW3_READ)
        c->read_isr = value & OCW3_ISR;
    c->poll = value & OCW3_POLL;
}

static inline void chip_write(struct vpic_chip *c, uint64_t port, uint8_t value)
{
    if (port == 1) {
        if (c->icw == 0)
            c->imr = value;
        else
            icw_write(c, value);
    } else if (value & ICW1) {
        icw1_write(c, value);
    } else if (value & OCW3) {
        ocw3_write(c, value);
    } else {
        ocw2_write(c, value);
    }
}

/* A poll is an INTA that shows the input instead of a vector. */
static __attribute__((noinline)) uint8_t chip_poll(struct vpic *p, struct vpic_chip *c)
{
    int line = chip_pending(c);

    c->poll = false;
    if (line < 0)
        return 0;
    chip_acknowledge(c, (uint32_t)line);
    pic_update(p);
    return (uint8_t)(POLL_INT | line);
}

static inline void pic_read(struct vpic *p, struct vpic_chip *c, struct bus_access *access)
{
    if (UNLIKELY(c->poll))
        access->value = chip_poll(p, c);
    else if (access->addr == 1)
        access->value = c->imr;
    else
        access->value = c->read_isr ? c->isr : chip_requests(c);
}

static ALWAYS_INLINE void pic_access(struct vpic *p, struct vpic_chip *c, struct bus_access *access)
{
    if (access->write) {
        chip_write(c, access->addr, (uint8_t)access->value);
        pic_update(p);
    } else {
        pic_read(p, c, access);
    }
}

enum bus_result vpic_master_ports(void *dev, struct bus_access *access)
{
    struct vpic *p = dev;

    if (UNLIKELY(access->size != 1))
        return isa_split(vpic_master_ports, dev, access);
    pic_access(p, &p->chips[0], access);
    return BUS_OK;
}

enum bus_result vpic_slave_ports(void *dev, struct bus_access *access)
{
    struct vpic *p = dev;

    if (UNLIKELY(access->size != 1))
        return isa_split(vpic_slave_ports, dev, access);
    pic_access(p, &p->chips[1], access);
    return BUS_OK;
}

static void elcr_write(struct vpic *p, uint32_t chip, uint8_t lines)
{
    struct vpic_chip *c = &p->chips[chip];

    c->elcr = lines & elcr_writable[chip];
    c->edges &= ~c->elcr;
    pic_update(p);
}

void vpic_set_elcr(struct vpic *p, uint16_t lines)
{
    elcr_write(p, 0, (uint8_t)lines);
    elcr_write(p, 1, (uint8_t)(lines >> 8));
}

enum bus_result vpic_elcr_ports(void *dev, struct bus_access *access)
{
    struct vpic *p = dev;
    uint32_t chip = access->addr & 1;

    if (UNLIKELY(access->size != 1))
        return isa_split(vpic_elcr_ports, dev, access);
    if (access->write)
        elcr_write(p, chip, (uint8_t)access->value);
    else
        access->value = p->chips[chip].elcr;
    return BUS_OK;
}

static void chip_reset(struct vpic_chip *c, uint8_t cascade)
{
    uint8_t lines = c->lines;

    memset(c, 0, sizeof(*c));
    c->lines = lines;
    c->cascade = cascade;
    c->imr = 0xff;
}

void vpic_reset(struct vpic *p)
{
    chip_reset(&p->chips[0], BIT(2));
    chip_reset(&p->chips[1], 0);
    pic_update(p);
}

void vpic_init(struct vpic *p, const struct irq_pin *out)
{
    memset(p, 0, sizeof(*p));
    p->out = *out;
    vpic_reset(p);
}
