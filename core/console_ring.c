#include "core/console_ring.h"

#include "core/lib/string.h"

void console_ring_init(struct console_ring *ring)
{
    memset(ring, 0, sizeof(*ring));
}

static uint8_t ring_take(struct console_ring *ring)
{
    uint8_t byte = ring->bytes[ring->tail % CONSOLE_RING];

    __atomic_store_n(&ring->tail, ring->tail + 1, __ATOMIC_RELAXED);
    return byte;
}

/* The oldest line, or the part of it that is still here. */
static void ring_drop_line(struct console_ring *ring)
{
    do
        ring->dropped++;
    while (ring_take(ring) != '\n' && ring->tail != ring->head);
    ring->dropped_lines++;
    ring->cut = true;
}

void console_ring_push(struct console_ring *ring, const uint8_t *bytes, size_t len)
{
    lock_take(&ring->lock);
    for (size_t i = 0; i < len; i++) {
        if (ring->head - ring->tail == CONSOLE_RING)
            ring_drop_line(ring);
        ring->bytes[ring->head % CONSOLE_RING] = bytes[i];
        __atomic_store_n(&ring->head, ring->head + 1, __ATOMIC_RELAXED);
    }
    ring->written += len;
    lock_drop(&ring->lock);
}

uint32_t console_ring_pop(struct console_ring *ring, uint8_t *bytes, uint32_t max, bool *cut)
{
    uint32_t count = 0;

    lock_take(&ring->lock);
    *cut = ring->cut && ring->head != ring->tail;
    if (*cut)
        ring->cut = false;
    while (count < max && ring->tail != ring->head) {
        bytes[count++] = ring_take(ring);
        if (bytes[count - 1] == '\n')
            break;
    }
    lock_drop(&ring->lock);
    return count;
}
