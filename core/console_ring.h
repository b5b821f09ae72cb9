/*
 * What a VM has written and the console hasn't taken yet: a bounded buffer, so that nobody waits for somebody else's
 * output. When it is full, its oldest line is dropped and counted. Pure.
 */
#pragma once

#include "core/lib/lock.h"
#include "core/lib/types.h"

#define CONSOLE_RING 4096

struct console_ring {
    struct lock lock;    /* guards all below; under it, no other is taken */
    uint32_t head, tail; /* positions, which only grow; a byte is at position % CONSOLE_RING */
    bool cut;            /* bytes were dropped before the one at tail */
    uint64_t written, dropped, dropped_lines; /* since ever; dropped lines may be parts of some */
    uint8_t bytes[CONSOLE_RING];
};

void console_ring_init(struct console_ring *ring);
void console_ring_push(struct console_ring *ring, const uint8_t *bytes, size_t len);
/* Takes bytes up to the end of a line, at most `max`. *cut: there is a gap before them. */
uint32_t console_ring_pop(struct console_ring *ring, uint8_t *bytes, uint32_t max, bool *cut);
/* Without the lock: may be out of date as soon as it is known. */
static inline uint32_t console_ring_used(const struct console_ring *ring)
{
    uint32_t tail = __atomic_load_n(&ring->tail, __ATOMIC_RELAXED);

    return __atomic_load_n(&ring->head, __ATOMIC_RELAXED) - tail;
}
