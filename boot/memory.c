#include "boot/memory.h"

#include "boot/output.h"
#include "core/lib/log.h"
#include "core/x86/caps.h"
#include "core/x86/image.h"
#include "mm/frame.h"
#include "mm/guestram.h"
#include "mm/hostmap.h"
#include "mm/layout.h"
#include "mm/memmap.h"

#define POOL_SHARE 32 /* one part in so many of all memory, within these bounds */
#define POOL_LEAST (16 * MiB)
#define POOL_MOST  (64 * MiB)

#define LOW_FIRST (4 * KiB) /* the BIOS' vectors and data lie below */

static struct memmap ram, low, pool, guest;

static void plan(const struct boot_info *boot, hpa_t image)
{
    for (uint32_t i = 0; i < boot->range_count; i++)
        if (boot->ranges[i].kind == BOOT_RANGE_RAM)
            memmap_add(&ram, boot->ranges[i].base, boot->ranges[i].len);
    /* where ranges overlap, the one that says no counts */
    for (uint32_t i = 0; i < boot->range_count; i++)
        if (boot->ranges[i].kind != BOOT_RANGE_RAM)
            memmap_remove(&ram, boot->ranges[i].base, boot->ranges[i].len);
    memmap_remove(&ram, image, (uint64_t)image_end - IMAGE_BASE);
    for (uint32_t i = 0; i < boot->module_count; i++)
        memmap_remove(&ram, boot->modules[i].base, boot->modules[i].len);
    memmap_remove(&ram, 0, LOW_FIRST);
}

static uint64_t pool_size(uint64_t wanted)
{
    uint64_t share = memmap_bytes(&ram) / POOL_SHARE;

    return wanted != 0 ? wanted : MIN(MAX(share, POOL_LEAST), POOL_MOST);
}

/* The boot tables map 4 GiB, and a started core loads its first CR3 in 32 bits: leave out the scraps above. */
static void pool_add(void)
{
    memmap_remove(&pool, 4 * GiB, UINT64_MAX - 4 * GiB);
    for (uint32_t i = 0; i < pool.count; i++)
        if (frame_add(pool.ranges[i].base, pool.ranges[i].len))
            log_warn("memory: 0x%llx could not be added to the pool",
                     (unsigned long long)pool.ranges[i].base);
}

static void direct_add(hpa_t base, uint64_t len, bool writable)
{
    if (len != 0 && hostmap_direct(base, len, writable))
        boot_fail("memory: 0x%llx can't be mapped, the pool is too small", (unsigned long long)base);
}

static void tables_build(const struct boot_info *boot, hpa_t image)
{
    const struct hostmap_image layout = {
        .base = image,
        .text_end = (uint64_t)rodata_begin - IMAGE_BASE,
        .rodata_end = (uint64_t)rodata_end - IMAGE_BASE,
        .end = (uint64_t)image_end - IMAGE_BASE,
    };

    hostmap_init(&layout, cap(CAP_PAGE1G));
    for (uint32_t i = 0; i < pool.count; i++)
        direct_add(pool.ranges[i].base, pool.ranges[i].len, true);
    for (uint32_t i = 0; i < boot->module_count; i++)
        if (!boot->modules[i].disk)
            direct_add(boot->modules[i].base, boot->modules[i].len, false);
    hostmap_activate();
}

static void guest_init(void)
{
    void *table = frame_alloc(frame_count(guestram_table_bytes(&guest)), OWNER_HOST);

    if (!table)
        boot_fail("memory: the pool is too small for the table of guest memory");
    guestram_init(&guest, table);
}

void memory_init(const struct boot_info *boot, hpa_t image, uint64_t pool_bytes)
{
    plan(boot, image);
    memmap_split(&ram, pool_size(pool_bytes), &low, &pool, &guest);
    if (ram.overflow)
        log_warn("memory: the map has too many holes, some memory stays unused");
    if (memmap_bytes(&pool) < POOL_LEAST / 4)
        boot_fail("memory: %llu KiB are left for the hypervisor, it needs %llu KiB",
                  (unsigned long long)(memmap_bytes(&pool) / KiB),
                  (unsigned long long)(POOL_LEAST / 4 / KiB));
    pool_add();
    guest_init();
    tables_build(boot, image);
    log_info("memory: %llu MiB, %llu MiB of it for guests, %llu MiB for the hypervisor",
             (unsigned long long)(memmap_bytes(&ram) / MiB),
             (unsigned long long)(guestram_total_bytes() / MiB),
             (unsigned long long)(memmap_bytes(&pool) / MiB));
}

hpa_t memory_low_page(void)
{
    for (uint32_t i = 0; i < low.count; i++)
        if (low.ranges[i].base < MiB)
            return low.ranges[i].base;
    return 0;
}
