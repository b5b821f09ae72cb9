#include "mm/hostmap.h"

#include "core/lib/error.h"
#include "core/lib/lock.h"
#include "core/lib/panic.h"
#include "core/x86/asm.h"
#include "core/x86/cr.h"
#include "mm/frame.h"
#include "mm/layout.h"
#include "mm/pt_pool.h"

#define LEVEL_2M    1
#define LEVEL_1G    2
#define SHARED_SLOT 256 /* the first root slot of the upper half */

/* Devices are never unmapped and come one after another; firmware tables come and go in the upper half of the area. */
#define DEVICE_BASE   MMIO_BASE
#define FIRMWARE_BASE (MMIO_BASE + MMIO_SIZE / 2)
#define FIRMWARE_END  (MMIO_BASE + MMIO_SIZE)

static struct {
    struct lock lock; /* guards all below once several cores run */
    struct pt pt;
    bool shared;          /* a hostspace refers to our tables: root slots can't be added any more */
    uint64_t device_next; /* first address not used in the device area */
    uint64_t stack_next;  /* and in the stack area: the guard page below the next stack */
} host = {.lock = LOCK_INIT, .device_next = DEVICE_BASE, .stack_next = STACK_BASE};

static void tlb_flush_all(void)
{
    uint64_t cr4 = read_cr4();

    write_cr3(read_cr3());
    if (cr4 & CR4_PGE) { /* changing PGE flushes global entries too (SDM volume 3, 4.10.4.1) */
        write_cr4(cr4 & ~CR4_PGE);
        write_cr4(cr4);
    }
}

static void image_map(uint64_t from, uint64_t to, hpa_t base, uint32_t attrs)
{
    if (pt_map(&host.pt, IMAGE_BASE + from, base + from, to - from, attrs | PT_READ | PT_GLOBAL))
        panic("no memory for the hypervisor's page tables");
}

void hostmap_init(const struct hostmap_image *image, bool use_1g)
{
    const uint64_t areas[] = {DIRECT_BASE, MMIO_BASE, STACK_BASE, IMAGE_BASE};
    struct pt_memory memory = pt_pool(OWNER_HOST_PT);

    if (pt_init(&host.pt, &pt_host, &memory, use_1g ? LEVEL_1G : LEVEL_2M))
        panic("no memory for the hypervisor's page tables");
    for (uint32_t i = 0; i < ARRAY_SIZE(areas); i++)
        if (pt_pin(&host.pt, areas[i]))
            panic("no memory for the hypervisor's page tables");
    image_map(0, image->text_end, image->base, PT_EXEC);
    image_map(image->text_end, image->rodata_end, image->base, 0);
    image_map(image->rodata_end, image->end, image->base, PT_WRITE);
    lock_name(&host.lock, "host-map");
}

/* Gives all root slots of [addr, addr + len) a table that address spaces can share. */
static int range_pin(uint64_t addr, uint64_t len)
{
    const uint64_t slot_size = 512 * SIZE_1G;
    struct pt_leaf hole;

    for (uint64_t a = ALIGN_DOWN(addr, slot_size); a < addr + len; a += slot_size) {
        if (host.shared && !pt_lookup(&host.pt, a, &hole) && hole.len == slot_size)
            return ERR_BUSY;
        if (pt_pin(&host.pt, a))
            return ERR_NOMEM;
    }
    return 0;
}

int hostmap_direct(hpa_t base, uint64_t len, bool writable)
{
    uint64_t start = ALIGN_DOWN(base, PAGE_SIZE), end = ALIGN_UP(base + len, PAGE_SIZE);
    uint32_t attrs = PT_READ | PT_GLOBAL | (writable ? PT_WRITE : 0);
    int err;

    if (base >= DIRECT_SIZE || len > DIRECT_SIZE - base)
        return ERR_RANGE;
    lock_take(&host.lock);
    err = range_pin(DIRECT_BASE + start, end - start);
    if (!err)
        err = pt_map(&host.pt, DIRECT_BASE + start, start, end - start, attrs);
    lock_drop(&host.lock);
    return err;
}

void hostmap_activate(void)
{
    write_cr3(hostmap_root());
    tlb_flush_all();
}

hpa_t hostmap_root(void)
{
    return pool_hpa(host.pt.root);
}

void *hostmap_device(hpa_t base, uint64_t len, uint32_t attrs)
{
    hpa_t start = ALIGN_DOWN(base, PAGE_SIZE);
    uint64_t size = ALIGN_UP(base + len, PAGE_SIZE) - start, addr;
    void *ptr = NULL;

    lock_take(&host.lock);
    /* Congruent modulo 2 MiB for something large, so that a framebuffer gets large leaves. A page stays free between two. */
    addr = size < SIZE_2M ? host.device_next : ALIGN_UP(host.device_next, SIZE_2M) + (start & (SIZE_2M - 1));
    if (size && size < FIRMWARE_BASE - PAGE_SIZE - addr &&
        pt_map(&host.pt, addr, start, size, attrs | PT_READ | PT_WRITE | PT_GLOBAL) == 0) {
        host.device_next = addr + size + PAGE_SIZE;
        ptr = (void *)(addr + (base - start));
    }
    lock_drop(&host.lock);
    return ptr;
}

/* First address of a hole in the firmware area with `size` bytes and a page on either side; 0 if there is none. */
static uint64_t firmware_hole(uint64_t size)
{
    uint64_t start = FIRMWARE_BASE, addr = start;
    struct pt_leaf leaf;

    while (addr < FIRMWARE_END) {
        bool used = pt_lookup(&host.pt, addr, &leaf);

        addr = leaf.addr + leaf.len;
        if (used)
            start = addr;
        else if (addr - start >= size + 2 * PAGE_SIZE)
            return start + PAGE_SIZE;
    }
    return 0;
}

const void *hostmap_firmware(hpa_t base, uint64_t len)
{
    hpa_t start = ALIGN_DOWN(base, PAGE_SIZE);
    uint64_t size = ALIGN_UP(base + len, PAGE_SIZE) - start, addr = 0;

    if (len == 0 || len > MMIO_SIZE / 4 || base + len < base)
        return NULL;
    lock_take(&host.lock);
    addr = firmware_hole(size);
    if (addr && pt_map(&host.pt, addr, start, size, PT_READ | PT_GLOBAL))
        addr = 0;
    lock_drop(&host.lock);
    return addr ? (const void *)(addr + (base - start)) : NULL;
}

void hostmap_unmap(const void *ptr, uint64_t len)
{
    uint64_t start = ALIGN_DOWN((uint64_t)ptr, PAGE_SIZE), end = ALIGN_UP((uint64_t)ptr + len, PAGE_SIZE);

    if (!ptr || len == 0)
        return;
    assert(start >= FIRMWARE_BASE && end <= FIRMWARE_END);
    lock_take(&host.lock);
    if (pt_unmap(&host.pt, start, end - start) == 0) /* else it stays mapped, which does no harm */
        for (uint64_t addr = start; addr < end; addr += PAGE_SIZE)
            invlpg((const void *)addr);
    lock_drop(&host.lock);
}

/* Maps `pages` fresh frames at addr; what was mapped stays mapped on failure, the caller gives it back. */
static int stack_fill(uint64_t addr, uint32_t pages)
{
    for (uint32_t i = 0; i < pages; i++) {
        void *frame = frame_alloc(1, OWNER_CPU);

        if (!frame)
            return ERR_NOMEM;
        if (pt_map(&host.pt, addr + i * PAGE_SIZE, pool_hpa(frame), PAGE_SIZE,
                   PT_READ | PT_WRITE | PT_GLOBAL)) {
            frame_free(frame, 1);
            return ERR_NOMEM;
        }
    }
    return 0;
}

static void stack_clear(uint64_t addr, uint32_t pages)
{
    struct pt_leaf leaf;

    for (uint32_t i = 0; i < pages && pt_lookup(&host.pt, addr + i * PAGE_SIZE, &leaf); i++) {
        if (pt_unmap(&host.pt, leaf.addr, PAGE_SIZE))
            return;
        frame_free(pool_ptr(leaf.hpa), 1);
    }
}

void *hostmap_stack(uint32_t pages)
{
    uint64_t size = pages * PAGE_SIZE, bottom;
    void *top = NULL;

    lock_take(&host.lock);
    bottom = host.stack_next + PAGE_SIZE;
    if (size < STACK_BASE + STACK_SIZE - PAGE_SIZE - bottom) {
        if (stack_fill(bottom, pages) == 0) {
            host.stack_next = bottom + size; /* the guard above is the next one's guard below */
            top = (void *)(bottom + size);
        } else {
            stack_clear(bottom, pages);
        }
    }
    lock_drop(&host.lock);
    return top;
}

bool hostmap_is_guard(uint64_t addr)
{
    struct pt_leaf leaf;

    return host.pt.root && addr >= STACK_BASE && addr < host.stack_next + PAGE_SIZE &&
           !pt_lookup(&host.pt, addr, &leaf);
}

int hostspace_init(struct hostspace *space, uint16_t owner, bool use_1g)
{
    struct pt_memory memory = pt_pool(owner);
    int err = pt_init(&space->pt, &pt_host, &memory, use_1g ? LEVEL_1G : LEVEL_2M);

    if (err)
        return err;
    space->owner = owner;
    lock_take(&host.lock);
    host.shared = true;
    pt_share(&space->pt, &host.pt, SHARED_SLOT);
    lock_drop(&host.lock);
    return 0;
}

int hostspace_map(struct hostspace *space, gpa_t gpa, hpa_t hpa, uint64_t len)
{
    if (gpa >= WINDOW_SIZE || len > WINDOW_SIZE - gpa)
        return ERR_RANGE;
    return pt_map(&space->pt, WINDOW_BASE + gpa, hpa, len, PT_READ | PT_WRITE);
}

int hostspace_unmap(struct hostspace *space, gpa_t gpa, uint64_t len)
{
    return pt_unmap(&space->pt, WINDOW_BASE + gpa, len);
}

int hostspace_map_disk(struct hostspace *space, uint64_t addr, hpa_t hpa, uint64_t len, bool writable)
{
    if (addr < DISK_BASE || addr - DISK_BASE >= DISK_SIZE || len > DISK_SIZE - (addr - DISK_BASE))
        return ERR_RANGE;
    return pt_map(&space->pt, addr, hpa, len, PT_READ | (writable ? PT_WRITE : 0));
}

void hostspace_free(struct hostspace *space)
{
    pt_free(&space->pt);
}

int hostmap_visit(pt_visitor visit, void *ctx)
{
    return pt_visit(&host.pt, visit, ctx);
}
