#include "drivers/virt/vpm.h"

#include "core/lib/string.h"
#include "drivers/virt/ticks.h"

/* PM1 status and enable (ACPI tables 4-11, 4-12); an event's bits are the same in both. */
#define PM1_TIMER  BIT(0)
#define PM1_GLOBAL BIT(5)
#define PM1_POWER  BIT(8)
#define PM1_SLEEP  BIT(9)
#define PM1_RTC    BIT(10)
#define PM1_WAKE   BIT(15)
#define PM1_STATUS (PM1_TIMER | BIT(4) | PM1_GLOBAL | PM1_POWER | PM1_SLEEP | PM1_RTC | PM1_WAKE)
#define PM1_ENABLE (PM1_TIMER | PM1_GLOBAL | PM1_POWER | PM1_SLEEP | PM1_RTC)

/* PM1 control (ACPI table 4-13) */
#define CONTROL_SCI_EN  BIT(0)
#define CONTROL_KEPT    0x1c02 /* BM_RLD, SLP_TYP; GBL_RLS and SLP_EN read as 0 */
#define CONTROL_SLP_EN  BIT(13)
#define CONTROL_TYPE(v) ((v) >> 10 & 7)

#define PORT_STATUS  VPM_PM1_EVENT
#define PORT_ENABLE  (VPM_PM1_EVENT + 2)
#define PORT_CONTROL VPM_PM1_CONTROL

/* TMR_STS is set whenever the timer's top bit changes (ACPI 4.8.2.1). */
static uint64_t timer_wraps(const struct vpm *pm, uint64_t now)
{
    return ticks_at(now, VPM_HZ) >> (pm->config.timer_bits - 1);
}

static void status_update(struct vpm *pm, uint64_t now)
{
    uint64_t wraps = timer_wraps(pm, now);

    if (wraps != pm->wraps)
        pm->status |= PM1_TIMER;
    pm->wraps = wraps;
}

static void sci_update(struct vpm *pm)
{
    uint64_t next = TIMER_NEVER;

    if (pm->enable & ~pm->status & PM1_TIMER)
        next = ticks_ns((pm->wraps + 1) << (pm->config.timer_bits - 1), VPM_HZ);
    timer_arm(&pm->timer, next);
    irq_pin_set(&pm->config.sci, pm->status & pm->enable);
}

static void timer_fire(struct timer *timer, uint64_t now)
{
    struct vpm *pm = CONTAINER_OF(timer, struct vpm, timer);

    status_update(pm, now);
    sci_update(pm);
}

static uint32_t timer_read(const struct vpm *pm, uint64_t now)
{
    uint32_t ticks = (uint32_t)ticks_at(now, VPM_HZ);

    return LIKELY(pm->config.timer_bits == 32) ? ticks : ticks & (uint32_t)MASK(pm->config.timer_bits);
}

static void control_write(struct vpm *pm, uint16_t value)
{
    pm->control = (value & CONTROL_KEPT) | CONTROL_SCI_EN;
    if ((value & CONTROL_SLP_EN) && CONTROL_TYPE(value) == pm->config.s5_type)
        pm->config.power_off(pm->config.ctx);
}

/* The 16-bit registers; the timer's halves are two. */
static uint16_t word_read(const struct vpm *pm, uint64_t port, uint64_t now)
{
    switch (port) {
    case PORT_STATUS:
        return pm->status;
    case PORT_ENABLE:
        return pm->enable;
    case PORT_CONTROL:
        return pm->control;
    case VPM_TIMER:
        return (uint16_t)timer_read(pm, now);
    case VPM_TIMER + 2:
        return (uint16_t)(timer_read(pm, now) >> 16);
    default:
        return 0;
    }
}

/* Status bits are cleared by writing ones. */
static void word_write(struct vpm *pm, uint64_t port, uint16_t value)
{
    if (port == PORT_STATUS)
        pm->status &= ~value;
    else if (port == PORT_ENABLE)
        pm->enable = value & PM1_ENABLE;
    else if (port == PORT_CONTROL)
        control_write(pm, value);
}

/* A byte is half of a word: of the other half, zeros do nothing to the status, and the rest stays as it is. */
static void byte_write(struct vpm *pm, uint64_t port, uint8_t value)
{
    uint64_t word = port & ~1ull;
    uint32_t shift = (port & 1) * 8;
    uint16_t other = word == PORT_STATUS ? 0 : word_read(pm, word, 0) & (uint16_t) ~(0xff << shift);

    word_write(pm, word, (uint16_t)(other | value << shift));
}

static uint64_t ports_read(const struct vpm *pm, const struct bus_access *access)
{
    uint64_t first = access->addr & ~1ull, value = 0;

    /* Up to three words hold what is asked for. */
    for (uint64_t i = 0; i < 3 && first + 2 * i < VPM_PORTS; i++)
        value |= (uint64_t)word_read(pm, first + 2 * i, access->now) << 16 * i;
    return value >> (access->addr & 1) * 8;
}

static void ports_write(struct vpm *pm, const struct bus_access *access)
{
    for (uint32_t i = 0; i < access->size;) {
        uint64_t port = access->addr + i;
        bool whole = access->size - i >= 2 && port % 2 == 0;

        if (whole)
            word_write(pm, port, (uint16_t)(access->value >> 8 * i));
        else
            byte_write(pm, port, (uint8_t)(access->value >> 8 * i));
        i += whole ? 2 : 1;
    }
}

enum bus_result vpm_ports(void *dev, struct bus_access *access)
{
    struct vpm *pm = dev;

    if (LIKELY(access->addr == VPM_TIMER && access->size == 4 && !access->write)) {
        access->value = timer_read(pm, access->now);
        return BUS_OK;
    }
    if (access->addr < VPM_TIMER || access->write)
        status_update(pm, access->now);
    if (access->write) {
        ports_write(pm, access);
        sci_update(pm);
    } else {
        access->value = ports_read(pm, access);
    }
    return BUS_OK;
}

void vpm_press_power(struct vpm *pm)
{
    pm->status |= PM1_POWER;
    sci_update(pm);
}

void vpm_reset(struct vpm *pm)
{
    pm->status = pm->enable = 0;
    pm->control = CONTROL_SCI_EN;
    sci_update(pm);
}

void vpm_init(struct vpm *pm, const struct vpm_config *config)
{
    memset(pm, 0, sizeof(*pm));
    pm->config = *config;
    timer_init(&pm->timer, config->timers, timer_fire);
    vpm_reset(pm);
}
