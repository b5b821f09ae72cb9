/* A driver's side of a virtqueue, split or packed, in memory that tests look at; and that memory. */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "core/lib/bytes.h"
#include "drivers/virt/vring.h"
#include "tests/unit/support.h"

#define RAM_BYTES  0x40000
#define ROM        RAM_BYTES
#define ROM_BYTES  0x1000
#define NOWHERE    0x80000
#define RING_DESC  (ring_at + 0x1000)
#define RING_AVAIL (ring_at + 0x3000)
#define RING_USED  (ring_at + 0x4000)
#define TABLE      (ring_at + 0x6000) /* an indirect one */
#define DATA       0x10000

#define NEXT     1
#define WRITE    2
#define INDIRECT 4

static uint8_t ram[RAM_BYTES + ROM_BYTES];
static struct gmem mem;
static uint64_t ring_at; /* a test that has more than one ring moves it */

static struct {
    bool packed;
    uint16_t size, next, free; /* of the ring; of the table of a split one */
    bool wrap;
    uint16_t used;
    bool used_wrap;
} driver;

static inline void memory_start(void)
{
    memset(ram, 0, sizeof(ram));
    ring_at = 0;
    gmem_init(&mem, ram);
    assert_int_equal(gmem_add(&mem, 0, RAM_BYTES, true), 0);
    assert_int_equal(gmem_add(&mem, ROM, ROM_BYTES, false), 0);
}

static inline void driver_start(bool packed, uint16_t size)
{
    memset(&driver, 0, sizeof(driver));
    driver.packed = packed;
    driver.size = size;
    driver.wrap = driver.used_wrap = true;
    memset(ram + RING_DESC, 0, TABLE - RING_DESC);
}

static inline void desc_put(gpa_t table, uint32_t n, uint64_t addr, uint32_t len, uint16_t flags,
                            uint16_t link)
{
    uint8_t *d = ram + table + 16 * n;

    put_le64(d, addr);
    put_le32(d + 8, len);
    put_le16(d + (driver.packed ? 14 : 12), flags);
    put_le16(d + (driver.packed ? 12 : 14), link);
}

struct buffer {
    uint64_t addr;
    uint32_t len;
    uint16_t flags; /* WRITE, INDIRECT */
};

static inline uint16_t packed_flags(void)
{
    return driver.wrap ? 0x80 : 0x8000;
}

static inline void avail_push(uint16_t head)
{
    uint16_t index = get_le16(ram + RING_AVAIL + 2);

    put_le16(ram + RING_AVAIL + 4 + 2 * (index % driver.size), head);
    put_le16(ram + RING_AVAIL + 2, (uint16_t)(index + 1));
}

/* Makes a chain of these available; returns what will name it when it comes back. */
static inline uint16_t driver_add(const struct buffer *buffers, uint32_t count)
{
    uint16_t first = driver.packed ? driver.next : driver.free, id = first, first_flags = 0;

    for (uint32_t i = 0; i < count; i++) {
        uint16_t flags = buffers[i].flags | (i + 1 < count ? NEXT : 0);

        if (driver.packed) {
            flags |= packed_flags();
            desc_put(RING_DESC, driver.next, buffers[i].addr, buffers[i].len, i ? flags : 0, id);
            first_flags = i ? first_flags : flags;
            if (++driver.next == driver.size) {
                driver.next = 0;
                driver.wrap = !driver.wrap;
            }
        } else {
            uint16_t here = driver.free;

            driver.free = (uint16_t)((driver.free + 1) % driver.size);
            desc_put(RING_DESC, here, buffers[i].addr, buffers[i].len, flags, driver.free);
        }
    }
    if (driver.packed)
        put_le16(ram + RING_DESC + 16 * first + 14, first_flags);
    else
        avail_push(first);
    return id;
}

/* Takes the next one that came back; false if there is none. `descs` is how many it had in the ring. */
static inline bool driver_collect(uint16_t *id, uint32_t *len, uint16_t descs)
{
    const uint8_t *d = ram + RING_DESC + 16 * driver.used, *u;
    uint16_t flags = get_le16(d + 14);

    if (!driver.packed) {
        if (get_le16(ram + RING_USED + 2) == driver.used)
            return false;
        u = ram + RING_USED + 4 + 8 * (driver.used++ % driver.size);
        *id = (uint16_t)get_le32(u);
        *len = get_le32(u + 4);
        return true;
    }
    if (!(flags & 0x80) == driver.used_wrap || !(flags & 0x8000) == driver.used_wrap)
        return false;
    *id = get_le16(d + 12);
    *len = get_le32(d + 8);
    driver.used += descs;
    if (driver.used >= driver.size) {
        driver.used -= driver.size;
        driver.used_wrap = !driver.used_wrap;
    }
    return true;
}
