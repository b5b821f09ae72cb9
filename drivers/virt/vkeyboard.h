/*
 * A PS/2 keyboard at the end of its cable (IBM PS/2 Hardware Interface Technical Reference, "Keyboard"): what the host sends it, and
 * what it sends: answers, and scan codes of the keys that give the characters that were typed. Keys come one after another, each
 * pressed and released, and no faster than a BIOS can take them.
 */
#pragma once

#include "core/timer.h"

#define VKEYBOARD_FIFO  16
#define VKEYBOARD_TYPED 256

struct vkeyboard {
    uint8_t fifo[VKEYBOARD_FIFO]; /* for the host */
    uint32_t first, count;
    uint8_t typed[VKEYBOARD_TYPED]; /* characters, the oldest first */
    uint32_t typed_count;
    uint8_t command;          /* it waits for its operand; 0: none does */
    uint8_t last;             /* sent */
    uint8_t set;              /* of scan codes: 1 or 2 */
    bool scanning;            /* keys are sent */
    bool waited;              /* for more of an escape sequence */
    uint64_t next_at;         /* VM time before which no key comes */
    struct timer timer;       /* sends the next key */
    void (*ready)(void *ctx); /* there is something to take */
    void *ctx;
};

void vkeyboard_init(struct vkeyboard *kb, struct timer_queue *timers, void (*ready)(void *ctx), void *ctx);
/* As after power-on, without the byte that says so. */
void vkeyboard_reset(struct vkeyboard *kb);
/* A byte from the host. */
void vkeyboard_write(struct vkeyboard *kb, uint8_t byte);
/* The next byte for it; false: there is none. */
bool vkeyboard_take(struct vkeyboard *kb, uint8_t *byte);
/* Somebody types a character; when there is no room it is lost. */
void vkeyboard_type(struct vkeyboard *kb, uint8_t c, uint64_t now);
