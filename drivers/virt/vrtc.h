/*
 * The MC146818 clock of a PC (Motorola data sheet) with 128 bytes of CMOS RAM, the century in byte 0x32, at the ports
 * 0x70/0x71 and IRQ 8. The time is computed when it is read: a wall-clock base plus VM time.
 *
 * UIP is set for the last 244 us before a second changes, as long as it takes Linux' read loop to see it; new values
 * appear at once. After the divider chain is taken out of reset, the first second is over in half a second, as the
 * data sheet says and Linux' setting of the clock relies on. Flags of register C are found when someone asks, so that a
 * timer runs only for interrupts that are enabled and not yet flagged. Periodic ticks that nobody took are not repeated.
 */
#pragma once

#include "core/bus.h"
#include "core/irq.h"
#include "core/timer.h"

#define VRTC_RAM 128

struct vrtc {
    struct irq_pin pin;
    struct timer timer;
    uint8_t index;         /* last written to port 0x70 */
    uint8_t ram[VRTC_RAM]; /* the time bytes are current only while the clock stands */
    uint8_t
        weekday_shift; /* the chip just counts days of the week: what a guest set, against the real ones */
    uint64_t seconds;  /* since year 0 (calendar.h), at VM time `origin` */
    uint64_t origin;   /* a VM time, modulo 2^64: the start of the divider chain's second */
    uint64_t shown; /* the VM time since which the time bytes are right, for a second; BIT(63): they aren't */
    uint64_t seen;  /* the VM time up to which register C is right */
};

/* unix_time is the wall clock (seconds since 1970) at VM time 0. */
void vrtc_init(struct vrtc *rtc, const struct irq_pin *pin, struct timer_queue *timers, uint64_t unix_time);
/* Clears the interrupt enables and flags; the clock and the RAM live on. */
void vrtc_reset(struct vrtc *rtc);
/* Two ports. */
enum bus_result vrtc_ports(void *rtc, struct bus_access *access);
/* Fills in a byte of CMOS RAM as a BIOS would; index 0x0e or above. */
void vrtc_set_ram(struct vrtc *rtc, uint32_t index, uint8_t value);
/* Equipment byte and memory sizes, where BIOSes leave them and SeaBIOS looks for them: RAM below and above 4G. */
void vrtc_set_memory(struct vrtc *rtc, uint64_t below_4g, uint64_t above_4g);
