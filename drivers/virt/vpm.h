/*
 * ACPI's fixed hardware (ACPI 4.8): PM1a event and control blocks and the PM timer, 12 ports in a row. There is no SMM
 * and no SMI command port, so SCI_EN is always set. Only S5 is offered. The timer's overflow is found when someone
 * asks; a timer of ours runs only while TMR_EN is set and TMR_STS isn't.
 */
#pragma once

#include "core/bus.h"
#include "core/irq.h"
#include "core/timer.h"

#define VPM_HZ    3579545ull
#define VPM_PORTS 12
/* Relative addresses of the blocks, for the FADT. */
#define VPM_PM1_EVENT   0
#define VPM_PM1_CONTROL 4
#define VPM_TIMER       8

struct vpm_config {
    struct irq_pin sci; /* level-triggered */
    struct timer_queue *timers;
    uint8_t timer_bits;           /* 24, or 32 with the FADT's TMR_VAL_EXT */
    uint8_t s5_type;              /* SLP_TYP of S5, as in the DSDT's \_S5 */
    void (*power_off)(void *ctx); /* the guest entered S5 */
    void *ctx;
};

struct vpm {
    struct vpm_config config;
    uint16_t status, enable, control;
    uint64_t wraps; /* how often the timer's top bit had changed when TMR_STS was last brought up to date */
    struct timer timer;
};

void vpm_init(struct vpm *pm, const struct vpm_config *config);
void vpm_reset(struct vpm *pm);
enum bus_result vpm_ports(void *pm, struct bus_access *access);
/* Presses the power button: an SCI, if the guest wants one. */
void vpm_press_power(struct vpm *pm);
