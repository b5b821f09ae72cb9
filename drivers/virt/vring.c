#include "drivers/virt/vring.h"

#include "drivers/virt/vring_parts.h"

static bool area_sound(const struct gmem *mem, gpa_t gpa, uint64_t len, uint32_t align, bool write)
{
    return IS_ALIGNED(gpa, align) && vring_memory(mem, gpa, len, write);
}

bool vring_start(struct vring *ring, const struct gmem *mem)
{
    uint64_t driver = ring->packed ? VRING_PACKED_EVENT : VRING_SPLIT_DRIVER(ring->size);
    uint64_t device = ring->packed ? VRING_PACKED_EVENT : VRING_SPLIT_DEVICE(ring->size);

    ring->avail = ring->used = ring->signalled = ring->given = 0;
    ring->avail_wrap = ring->used_wrap = ring->signalled_wrap = true; /* 2.8.1: both start at 1 */
    return (ring->packed || (ring->size & (ring->size - 1)) == 0) &&  /* 2.7 */
           area_sound(mem, ring->desc, (uint64_t)ring->size * VRING_DESC_SIZE, 16, ring->packed) &&
           area_sound(mem, ring->driver, driver, ring->packed ? 4 : 2, false) &&
           area_sound(mem, ring->device, device, 4, true);
}

enum vring_result vring_pop(struct vring *ring, const struct gmem *mem, struct vring_chain *chain)
{
    vring_chain_clear(chain);
    return ring->packed ? vring_packed_pop(ring, mem, chain) : vring_split_pop(ring, mem, chain);
}

void vring_unpop(struct vring *ring, uint32_t chains, uint32_t descs)
{
    if (ring->packed)
        vring_packed_unpop(ring, descs);
    else
        ring->avail = (uint16_t)(ring->avail - chains);
}

bool vring_push(struct vring *ring, const struct gmem *mem, const struct vring_used *used, uint32_t count)
{
    return ring->packed ? vring_packed_push(ring, mem, used, count)
                        : vring_split_push(ring, mem, used, count);
}

bool vring_wants_interrupt(struct vring *ring, const struct gmem *mem)
{
    vring_fence(); /* what was given back is seen before the driver's wish is read */
    return ring->packed ? vring_packed_wants(ring, mem) : vring_split_wants(ring, mem);
}

/* -- chains ----------------------------------------------------------------------------------------------------- */

void vring_chain_clear(struct vring_chain *chain)
{
    chain->readable = chain->count = 0;
    chain->readable_bytes = chain->writable_bytes = 0;
    chain->id = chain->descs = 0;
}

/* 2.6.3: no longer than the queue, no more than 4 GiB in all, and what the device writes comes last. */
bool vring_chain_add(struct vring_chain *chain, const struct vring *ring, const struct gmem *mem,
                     const struct vring_desc *desc)
{
    bool write = desc->flags & VRING_WRITE;
    uint8_t *bytes;

    if (chain->count == MIN((uint32_t)ring->size, VRING_MAX) || (!write && chain->readable != chain->count))
        return false;
    bytes = vring_memory(mem, desc->address, desc->len, write);
    if (!bytes || chain->readable_bytes + chain->writable_bytes + desc->len > UINT32_MAX)
        return false;
    chain->parts[chain->count++] = (struct vring_part){bytes, desc->len};
    if (write) {
        chain->writable_bytes += desc->len;
    } else {
        chain->readable_bytes += desc->len;
        chain->readable++;
    }
    return true;
}

const uint8_t *vring_indirect(const struct vring *ring, const struct gmem *mem, const struct vring_desc *desc)
{
    if (!ring->indirect || (desc->flags & VRING_NEXT) || desc->len == 0 || desc->len % VRING_DESC_SIZE)
        return NULL;
    return vring_memory(mem, desc->address, desc->len, false);
}

/* -- cursors ---------------------------------------------------------------------------------------------------- */

struct vring_cursor vring_readable(const struct vring_chain *chain)
{
    return (struct vring_cursor){chain->parts, chain->parts + chain->readable, 0};
}

struct vring_cursor vring_writable(const struct vring_chain *chain)
{
    return (struct vring_cursor){chain->parts + chain->readable, chain->parts + chain->count, 0};
}

uint8_t *vring_run_any(struct vring_cursor *cursor, uint64_t max, uint32_t *len)
{
    uint8_t *bytes;

    while (cursor->part < cursor->end && cursor->offset == cursor->part->len) {
        cursor->part++;
        cursor->offset = 0;
    }
    if (cursor->part == cursor->end || max == 0)
        return NULL;
    bytes = cursor->part->bytes + cursor->offset;
    *len = (uint32_t)MIN((uint64_t)(cursor->part->len - cursor->offset), max);
    cursor->offset += *len;
    return bytes;
}

bool vring_read(struct vring_cursor *cursor, void *buf, uint32_t len)
{
    const uint8_t *bytes;
    uint32_t run;

    for (uint8_t *to = buf; len; to += run, len -= run) {
        bytes = vring_run(cursor, len, &run);
        if (!bytes)
            return false;
        memcpy(to, bytes, run);
    }
    return true;
}

bool vring_write(struct vring_cursor *cursor, const void *buf, uint32_t len)
{
    uint8_t *bytes;
    uint32_t run;

    for (const uint8_t *from = buf; len; from += run, len -= run) {
        bytes = vring_run(cursor, len, &run);
        if (!bytes)
            return false;
        memcpy(bytes, from, run);
    }
    return true;
}

bool vring_skip(struct vring_cursor *cursor, uint64_t len)
{
    uint32_t run;

    for (; len; len -= run)
        if (!vring_run(cursor, len, &run))
            return false;
    return true;
}
