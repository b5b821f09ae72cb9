/*
 * The device's side of a virtqueue (virtio 1.2, 2.6 to 2.8), split or packed, over guest memory. All that is read there is
 * a guest's and may change at any moment: it is read once, checked, and then used. Whatever breaks a rule of the format makes
 * the ring broken; nothing else is touched.
 */
#pragma once

#include "mm/gmem.h"

#define VRING_MAX 256 /* descriptors of a queue, and parts of a chain */

struct vring {
    bool packed, indirect, event_idx;
    uint16_t size;
    gpa_t desc, driver,
        device; /* in a split ring: table, available and used ring; else ring and event structures */
    uint16_t avail, used; /* the next entries to take and to give back; a packed ring's are below size */
    bool avail_wrap, used_wrap; /* of a packed ring */
    uint16_t signalled;         /* where `used` was when an interrupt was last thought of */
    bool signalled_wrap;
    uint16_t given; /* of a packed ring: descriptors given back since */
};

/* A piece of guest memory, in the window. */
struct vring_part {
    uint8_t *bytes;
    uint32_t len;
};

/* A buffer as the driver made it available. */
struct vring_chain {
    uint16_t id, descs; /* what the used entry says of it: of the ring's descriptors, how many are in it */
    uint32_t readable, count;
    uint64_t readable_bytes, writable_bytes;
    struct vring_part parts[VRING_MAX]; /* first those that may be read, then those that may be written */
};

/* What is said of a buffer that is given back. */
struct vring_used {
    uint16_t id, descs; /* of its chain */
    uint32_t written;   /* bytes */
};

enum vring_result { VRING_BROKEN = -1, VRING_EMPTY = 0, VRING_CHAIN = 1 };

/* Fill in all above `avail`, then this. False: its areas aren't aligned, or not in RAM. */
bool vring_start(struct vring *ring, const struct gmem *mem);
/* Takes the next buffer. Without one, it sees to it that the driver tells of the next. */
enum vring_result vring_pop(struct vring *ring, const struct gmem *mem, struct vring_chain *chain);
/* Makes the last ones that were taken, so many with so many descriptors, the next again. */
void vring_unpop(struct vring *ring, uint32_t chains, uint32_t descs);
/* Gives buffers back; the driver sees all of them or none. False: broken. */
bool vring_push(struct vring *ring, const struct gmem *mem, const struct vring_used *used, uint32_t count);
/* Does the driver want an interrupt for what was given back since this was last asked? */
bool vring_wants_interrupt(struct vring *ring, const struct gmem *mem);

/* A place in a chain: of the parts that may be read, or of those that may be written. */
struct vring_cursor {
    const struct vring_part *part, *end;
    uint32_t offset;
};
struct vring_cursor vring_readable(const struct vring_chain *chain);
struct vring_cursor vring_writable(const struct vring_chain *chain);
uint8_t *vring_run_any(struct vring_cursor *cursor, uint64_t max, uint32_t *len);
/* The next piece that lies in one place, at most `max` bytes, and moves behind it; NULL at the end. */
static inline uint8_t *vring_run(struct vring_cursor *cursor, uint64_t max, uint32_t *len)
{
    const struct vring_part *part = cursor->part;
    uint32_t offset = cursor->offset;

    if (UNLIKELY(part == cursor->end ||
                 max - 1 >= part->len - offset)) /* 0 bytes, too, are for vring_run_any */
        return vring_run_any(cursor, max, len);
    *len = (uint32_t)max;
    cursor->offset = offset + *len;
    return part->bytes + offset;
}
/* Copies from or to the next bytes; false if there are fewer. */
bool vring_read(struct vring_cursor *cursor, void *buf, uint32_t len);
bool vring_write(struct vring_cursor *cursor, const void *buf, uint32_t len);
bool vring_skip(struct vring_cursor *cursor, uint64_t len);
