/* Split virtqueues (virtio 1.2, 2.7). */
#include "drivers/virt/vring_parts.h"

#define AVAIL_FLAGS        0
#define AVAIL_INDEX        2
#define AVAIL_RING(n)      (4 + 2 * (n))
#define AVAIL_NO_INTERRUPT BIT(0)
#define USED_INDEX         2
#define USED_RING(n)       (4 + 8 * (n))

static struct vring_desc desc_load(const uint8_t *table, uint32_t index)
{
    uint8_t d[VRING_DESC_SIZE];

    vring_desc_copy(d, table, index);
    return (struct vring_desc){get_le64(d), get_le32(d + 8), get_le16(d + 12), get_le16(d + 14)};
}

/* Follows a chain from its head; it may go over into one indirect table, and ends there. */
static bool chain_walk(const struct vring *ring, const struct gmem *mem, struct vring_chain *chain,
                       uint16_t head)
{
    const uint8_t *table = vring_memory(mem, ring->desc, (uint64_t)ring->size * VRING_DESC_SIZE, false);
    uint32_t entries = ring->size, index = head;
    bool indirect = false;
    struct vring_desc desc;

    do {
        if (!table || index >= entries)
            return false;
        desc = desc_load(table, index);
        chain->descs += !indirect;
        if (desc.flags & VRING_INDIRECT) {
            if (indirect)
                return false;
            indirect = true;
            table = vring_indirect(ring, mem, &desc);
            entries = desc.len / VRING_DESC_SIZE;
            index = 0;
            desc.flags = VRING_NEXT;
            continue;
        }
        /* The chain's greatest length also ends a loop. */
        if (!vring_chain_add(chain, ring, mem, &desc))
            return false;
        index = desc.link;
    } while (desc.flags & VRING_NEXT);
    return true;
}

/* How many entries of the available ring wait; more than there are is nonsense, and negative. */
static int entries_waiting(const struct vring *ring, const uint8_t *avail)
{
    uint16_t waiting = (uint16_t)(vring_load16(avail + AVAIL_INDEX) - ring->avail);

    return waiting > ring->size ? VRING_BROKEN : waiting;
}

/* With event indexes, the driver tells only of the entry that the device names: ask for the next, then look once more. */
static int entries_awaited(const struct vring *ring, const struct gmem *mem, const uint8_t *avail)
{
    uint8_t *used = vring_memory(mem, ring->device, VRING_SPLIT_DEVICE(ring->size), true);
    int waiting = entries_waiting(ring, avail);

    if (waiting != 0 || !ring->event_idx || !used)
        return used ? waiting : VRING_BROKEN;
    vring_store16(used + USED_RING(ring->size), ring->avail);
    vring_fence();
    return entries_waiting(ring, avail);
}

enum vring_result vring_split_pop(struct vring *ring, const struct gmem *mem, struct vring_chain *chain)
{
    const uint8_t *avail = vring_memory(mem, ring->driver, VRING_SPLIT_DRIVER(ring->size), false);
    int waiting = avail ? entries_awaited(ring, mem, avail) : VRING_BROKEN;

    if (waiting <= 0)
        return waiting < 0 ? VRING_BROKEN : VRING_EMPTY;
    chain->id = vring_load16(avail + AVAIL_RING(ring->avail % ring->size));
    if (!chain_walk(ring, mem, chain, chain->id))
        return VRING_BROKEN;
    ring->avail++;
    return VRING_CHAIN;
}

bool vring_split_push(struct vring *ring, const struct gmem *mem, const struct vring_used *used,
                      uint32_t count)
{
    uint8_t *area = vring_memory(mem, ring->device, VRING_SPLIT_DEVICE(ring->size), true), *entry;

    if (!area)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        entry = area + USED_RING(ring->used++ % ring->size);
        put_le32(entry, used[i].id);
        put_le32(entry + 4, used[i].written);
    }
    vring_store16(area + USED_INDEX, ring->used);
    return true;
}

/* 2.7.7.2: has `used` passed the index that the driver named? */
bool vring_split_wants(struct vring *ring, const struct gmem *mem)
{
    const uint8_t *avail = vring_memory(mem, ring->driver, VRING_SPLIT_DRIVER(ring->size), false);
    uint16_t given = (uint16_t)(ring->used - ring->signalled), event;

    ring->signalled = ring->used;
    if (!avail || given == 0)
        return false;
    if (!ring->event_idx)
        return !(vring_load16(avail + AVAIL_FLAGS) & AVAIL_NO_INTERRUPT);
    event = vring_load16(avail + AVAIL_RING(ring->size));
    return (uint16_t)(ring->used - event - 1) < given;
}
