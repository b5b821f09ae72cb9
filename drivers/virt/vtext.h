/*
 * The text screen of a VGA (80 by 25, mode 3) for guests that know no serial port: 32 KiB of cells at 0xb8000, and of the registers
 * the CRTC's and the status register. There is no picture: what changes on the screen goes to a sink as lines of text, a moment after
 * the guest has written it. Lines that only moved up are not repeated.
 */
#pragma once

#include "core/bus.h"
#include "core/timer.h"

#define VTEXT_SIZE    0x8000
#define VTEXT_COLUMNS 80
#define VTEXT_ROWS    25
#define VTEXT_CRTC    32 /* registers */
#define VTEXT_PORTS   7  /* 0x3d4 to 0x3da */

struct vtext {
    uint8_t cells[VTEXT_SIZE]; /* character, attribute */
    uint8_t crtc_index, crtc[VTEXT_CRTC];
    uint8_t status;                           /* changes with each look at it */
    uint8_t shown[VTEXT_ROWS][VTEXT_COLUMNS]; /* the screen as the sink knows it */
    bool changed;                             /* since then */
    bool waits;                               /* the owner's: another's line isn't finished in the sink */
    uint64_t first_change;                    /* VM time */
    struct timer timer;                       /* armed while `changed` */
    void (*sink)(void *ctx, uint8_t byte);
    void *ctx;
};

void vtext_init(struct vtext *text, struct timer_queue *timers, void (*sink)(void *ctx, uint8_t byte),
                void *ctx);
void vtext_reset(struct vtext *text);
/* VTEXT_SIZE bytes; VTEXT_PORTS ports. */
enum bus_result vtext_mmio(void *text, struct bus_access *access);
enum bus_result vtext_ports(void *text, struct bus_access *access);
/* Shows now what there is to show: the machine ends. */
void vtext_flush(struct vtext *text);
