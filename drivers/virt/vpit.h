/*
 * The 8254 timer of a PC (Intel 8254 data sheet) and system control port B (0x61): channel 0 drives IRQ 0 (pin 2 of
 * the IOAPIC), channel 1 was for refresh, channel 2 is the speaker's, gated by port 0x61.
 *
 * Time is counted in ticks of 1193182 Hz of VM time, converted exactly: the average rate has no drift. A timer runs
 * only for channel 0, and only until its next rising edge; an edge is a pulse of the pin. If edges come due while the
 * vCPU doesn't run, they are made up for one by one, a quarter period apart, but at most VPIT_BACKLOG of them.
 *
 * Linux calibrates with channel 2 in mode 0: gate and OUT2 through port 0x61, or the count's high byte.
 */
#pragma once

#include "core/bus.h"
#include "core/irq.h"
#include "core/timer.h"

#define VPIT_HZ      1193182ull
#define VPIT_BACKLOG 8

enum vpit_state {
    VPIT_IDLE,    /* no count, or waits for its gate */
    VPIT_RUNNING, /* since tick `start` */
    VPIT_PAUSED,  /* its gate is low: `held` ticks have been counted */
};

struct vpit_channel {
    uint8_t mode;   /* 0-5 */
    uint8_t access; /* 1: low byte, 2: high byte, 3: low then high */
    uint8_t state;  /* enum vpit_state */
    bool gate;
    bool bcd, count_latched, status_latched;
    bool rare;                  /* neither mode 0 nor 2: reads take longer */
    bool write_high, read_high; /* with access 3: the high byte is next */
    uint8_t written_low;
    uint8_t status;
    uint16_t latch;
    uint32_t count;   /* 1 to 65536; 0: none was written */
    uint32_t next;    /* written, but waits for the end of the period or for a trigger; 0: none */
    uint64_t start;   /* the tick at which count was loaded */
    uint64_t next_at; /* modes 2 and 3: the tick at which next is loaded */
    uint64_t held;
};

struct vpit {
    struct vpit_channel channels[3];
    struct irq_pin pin;
    struct timer timer;
    uint64_t edge; /* the tick of channel 0's next rising edge that wasn't delivered; UINT64_MAX: none */
    uint8_t port61;
};

void vpit_init(struct vpit *pit, const struct irq_pin *pin, struct timer_queue *timers);
void vpit_reset(struct vpit *pit);
/* Four ports at 0x40, and the port 0x61. */
enum bus_result vpit_ports(void *pit, struct bus_access *access);
enum bus_result vpit_port61(void *pit, struct bus_access *access);
