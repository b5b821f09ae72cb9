/*
 * The high precision event timers (IA-PC HPET specification 1.0a): a 64-bit counter and three comparators, each of which can
 * be periodic, of 32 or 64 bits, edge- or level-triggered, on an IOAPIC pin or as a message (FSB). With legacy replacement,
 * timers 0 and 1 take the wires of the PIT and the RTC, which pass through here.
 *
 * The counter has the customary 14.31818 MHz, exactly: the average rate has no drift. Nothing runs for a counter that is
 * only read, and of a timer only its next interrupt; what has come due is found at the next access. Periodic interrupts that
 * nobody took are not repeated, and never come faster than VHPET_MIN_PERIOD.
 */
#pragma once

#include "core/bus.h"
#include "core/irq.h"
#include "core/timer.h"
#include "drivers/virt/vmsix.h"

#define VHPET_HZ         14318180ull
#define VHPET_PERIOD_FS  69841279u   /* 10^15 / VHPET_HZ */
#define VHPET_ID         0x8086a201u /* Intel's; legacy replacement, 64-bit counter, three timers, revision 1 */
#define VHPET_MIN_TICK   128         /* of a periodic timer, for the ACPI table */
#define VHPET_TIMERS     3
#define VHPET_SIZE       0x400
#define VHPET_PINS       0x00f00000 /* of the IOAPIC: those that timers can be routed to */
#define VHPET_MIN_PERIOD 100000     /* ns: a slow machine has to get a handler done in it */

enum vhpet_legacy { VHPET_LEGACY_PIT, VHPET_LEGACY_RTC, VHPET_LEGACY_COUNT };

struct vhpet_config {
    struct timer_queue *timers;
    struct irq_pin
        legacy[VHPET_LEGACY_COUNT]; /* the wires that the PIT and the RTC share with timers 0 and 1 */
    irq_set set;                    /* drives the IOAPIC's pins of VHPET_PINS */
    void *listener;
    struct vmsi_port fsb;
};

struct vhpet_timer {
    struct vhpet *hpet;
    struct timer timer;
    uint64_t config;     /* what the guest can write of it */
    uint64_t comparator; /* of a periodic timer: its next match */
    uint64_t period;     /* what was written last; meaningless for others */
    uint64_t message;    /* FSB: data, and in the high half the address */
    uint64_t seen;       /* the counter up to which matches were found */
    uint8_t wire;        /* that it holds high: an IOAPIC pin or enum vhpet_legacy behind those */
};

struct vhpet {
    struct vhpet_config config;
    uint64_t enable;  /* the general configuration register */
    uint64_t status;  /* level-triggered timers that have matched, a bit each */
    uint64_t counter; /* while it is halted; else what is to be added to the ticks of VM time */
    bool inputs[VHPET_LEGACY_COUNT]; /* what PIT and RTC drive */
    struct vhpet_timer timers[VHPET_TIMERS];
    uint64_t interrupts; /* sent so far, for the monitor */
};

void vhpet_init(struct vhpet *hpet, const struct vhpet_config *config);
void vhpet_reset(struct vhpet *hpet);
enum bus_result vhpet_mmio(void *hpet, struct bus_access *access);
/* An irq_set: where the PIT and the RTC drive; lines are enum vhpet_legacy. */
void vhpet_set_legacy(void *hpet, uint32_t line, bool level);
/* For the monitor: is the counter running, have timers 0 and 1 the wires of PIT and RTC, what is timer n set up for? */
bool vhpet_running(const struct vhpet *hpet);
bool vhpet_replaces(const struct vhpet *hpet);
const char *vhpet_use(const struct vhpet *hpet, uint32_t n);
