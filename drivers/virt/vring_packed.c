/* Packed virtqueues (virtio 1.2, 2.8). */
#include "drivers/virt/vring_parts.h"

#define DESC_AVAIL BIT(7)
#define DESC_USED  BIT(15)
#define DESC_LEN   8
#define DESC_ID    12
#define DESC_FLAGS 14

#define EVENT_OFFSET  0 /* an index, and in bit 15 a wrap counter */
#define EVENT_FLAGS   2
#define EVENT_DISABLE 1
#define EVENT_DESC    2

static uint8_t *ring_table(const struct vring *ring, const struct gmem *mem)
{
    return vring_memory(mem, ring->desc, (uint64_t)ring->size * VRING_DESC_SIZE, true);
}

static struct vring_desc desc_load(const uint8_t *table, uint32_t index)
{
    uint8_t d[VRING_DESC_SIZE];

    vring_desc_copy(d, table, index);
    return (struct vring_desc){get_le64(d), get_le32(d + DESC_LEN), get_le16(d + DESC_FLAGS),
                               get_le16(d + DESC_ID)};
}

/* 2.8.8: all entries of the table, one after another; of their flags only the direction counts. */
static bool table_walk(const struct vring *ring, const struct gmem *mem, struct vring_chain *chain,
                       const struct vring_desc *indirect)
{
    const uint8_t *table = vring_indirect(ring, mem, indirect);

    for (uint32_t i = 0; table && i < indirect->len / VRING_DESC_SIZE; i++) {
        struct vring_desc desc = desc_load(table, i);

        if (!vring_chain_add(chain, ring, mem, &desc))
            return false;
    }
    return table != NULL;
}

/* The descriptors of a list follow each other in the ring; the last one has the buffer's id. */
static bool chain_walk(const struct vring *ring, const struct gmem *mem, struct vring_chain *chain,
                       const uint8_t *table)
{
    struct vring_desc desc;
    uint32_t index = ring->avail;

    do {
        if (chain->descs == ring->size)
            return false;
        desc = desc_load(table, index);
        chain->descs++;
        if (++index == ring->size)
            index = 0;
        if (desc.flags & VRING_INDIRECT ? !table_walk(ring, mem, chain, &desc)
                                        : !vring_chain_add(chain, ring, mem, &desc))
            return false;
    } while (desc.flags & VRING_NEXT);
    chain->id = desc.link;
    return true;
}

static void position_move(const struct vring *ring, uint16_t *index, bool *wrap, uint16_t by)
{
    uint32_t next = (uint32_t)*index + by;

    if (next >= ring->size) {
        next -= ring->size;
        *wrap = !*wrap;
    }
    *index = (uint16_t)next;
}

enum vring_result vring_packed_pop(struct vring *ring, const struct gmem *mem, struct vring_chain *chain)
{
    const uint8_t *table = ring_table(ring, mem);
    uint16_t flags;

    if (!table)
        return VRING_BROKEN;
    flags = vring_load16(table + ring->avail * VRING_DESC_SIZE + DESC_FLAGS);
    if (!(flags & DESC_AVAIL) == ring->avail_wrap || !(flags & DESC_USED) != ring->avail_wrap)
        return VRING_EMPTY;
    if (!chain_walk(ring, mem, chain, table))
        return VRING_BROKEN;
    position_move(ring, &ring->avail, &ring->avail_wrap, chain->descs);
    return VRING_CHAIN;
}

void vring_packed_unpop(struct vring *ring, uint32_t descs)
{
    if (ring->avail < descs) {
        ring->avail += ring->size;
        ring->avail_wrap = !ring->avail_wrap;
    }
    ring->avail = (uint16_t)(ring->avail - descs);
}

/* A driver stops at the first descriptor that isn't used yet: when that one's flags come last, it sees all at once. */
bool vring_packed_push(struct vring *ring, const struct gmem *mem, const struct vring_used *used,
                       uint32_t count)
{
    uint8_t *table = ring_table(ring, mem), *first = table, *desc;
    uint16_t flags, first_flags = 0;

    if (!table)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        desc = table + ring->used * VRING_DESC_SIZE;
        flags = (uint16_t)((ring->used_wrap ? DESC_AVAIL | DESC_USED : 0) |
                           (used[i].written ? VRING_WRITE : 0));
        put_le32(desc + DESC_LEN, used[i].written);
        put_le16(desc + DESC_ID, used[i].id);
        if (i) {
            vring_store16(desc + DESC_FLAGS, flags);
        } else {
            first = desc;
            first_flags = flags;
        }
        position_move(ring, &ring->used, &ring->used_wrap, used[i].descs);
        ring->given += used[i].descs;
    }
    vring_store16(first + DESC_FLAGS, first_flags);
    return true;
}

/* How far the descriptor that the driver named lay ahead when an interrupt was last thought of; negative: behind. */
static int event_distance(const struct vring *ring, uint16_t event)
{
    int distance = (event & 0x7fff) - ring->signalled;

    return (event >> 15) == ring->signalled_wrap ? distance : distance + ring->size;
}

bool vring_packed_wants(struct vring *ring, const struct gmem *mem)
{
    const uint8_t *event = vring_memory(mem, ring->driver, VRING_PACKED_EVENT, false);
    uint16_t given = ring->given, flags;
    int distance;

    if (!event || given == 0)
        return false;
    flags = vring_load16(event + EVENT_FLAGS) & 3;
    distance = event_distance(ring, vring_load16(event + EVENT_OFFSET));
    ring->given = 0;
    ring->signalled = ring->used;
    ring->signalled_wrap = ring->used_wrap;
    if (flags == EVENT_DESC && ring->event_idx)
        return distance >= 0 && distance < given;
    return flags != EVENT_DISABLE;
}
