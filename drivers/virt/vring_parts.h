/* What the two formats of rings share: descriptors, and how guest memory is looked at. */
#pragma once

#include "core/lib/bytes.h"
#include "core/lib/string.h"
#include "drivers/virt/vring.h"

#define VRING_NEXT     BIT(0)
#define VRING_WRITE    BIT(1)
#define VRING_INDIRECT BIT(2)

/* Both formats' descriptors are 16 bytes with address, length and flags; the rest differs. */
#define VRING_DESC_SIZE 16
struct vring_desc {
    uint64_t address;
    uint32_t len;
    uint16_t flags;
    uint16_t link; /* split: the next one; packed: the buffer's id */
};

/* Memory that a device may read or write: RAM, and for writing nothing that is ROM for the guest. */
static inline uint8_t *vring_memory(const struct gmem *mem, gpa_t gpa, uint64_t len, bool write)
{
    if (UNLIKELY(write && !gmem_guest_writable(mem, gpa, len)))
        return NULL;
    return gmem_ptr(mem, gpa, len);
}

static inline uint16_t vring_load16(const uint8_t *p)
{
    return __atomic_load_n((const uint16_t *)(const void *)p, __ATOMIC_ACQUIRE);
}

static inline void vring_store16(uint8_t *p, uint16_t value)
{
    __atomic_store_n((uint16_t *)(void *)p, value, __ATOMIC_RELEASE);
}

static inline void vring_fence(void)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* Copies a descriptor out, once: from here on the guest can't change it any more. */
static inline void vring_desc_copy(uint8_t raw[VRING_DESC_SIZE], const uint8_t *table, uint32_t index)
{
    __builtin_memcpy(raw, table + (uint64_t)index * VRING_DESC_SIZE,
                     VRING_DESC_SIZE);       /* in place, not by a call */
    __atomic_signal_fence(__ATOMIC_SEQ_CST); /* nor does the compiler read it again */
}

void vring_chain_clear(struct vring_chain *chain);
/* Adds what a descriptor describes; false if that breaks a rule. */
bool vring_chain_add(struct vring_chain *chain, const struct vring *ring, const struct gmem *mem,
                     const struct vring_desc *desc);
/* The table of an indirect descriptor; NULL if it may not be one. */
const uint8_t *vring_indirect(const struct vring *ring, const struct gmem *mem,
                              const struct vring_desc *desc);

enum vring_result vring_split_pop(struct vring *ring, const struct gmem *mem, struct vring_chain *chain);
bool vring_split_push(struct vring *ring, const struct gmem *mem, const struct vring_used *used,
                      uint32_t count);
bool vring_split_wants(struct vring *ring, const struct gmem *mem);
enum vring_result vring_packed_pop(struct vring *ring, const struct gmem *mem, struct vring_chain *chain);
void vring_packed_unpop(struct vring *ring, uint32_t descs);
bool vring_packed_push(struct vring *ring, const struct gmem *mem, const struct vring_used *used,
                       uint32_t count);
bool vring_packed_wants(struct vring *ring, const struct gmem *mem);

/* Bytes of the three areas of a ring. */
#define VRING_SPLIT_DRIVER(size) (6 + 2 * (uint64_t)(size))
#define VRING_SPLIT_DEVICE(size) (6 + 8 * (uint64_t)(size))
#define VRING_PACKED_EVENT       4
