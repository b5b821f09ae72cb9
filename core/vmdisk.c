#include "core/vmdisk.h"

#include "core/lib/string.h"
#include "core/vmmem.h"
#include "mm/guestram.h"
#include "mm/image.h"
#include "mm/layout.h"

/* Addresses that are like `like` in their low bits, so that large leaves fit; a page stays free behind them. */
static uint64_t vmdisk_place(struct vm *vm, hpa_t like, uint64_t len)
{
    uint64_t at = DISK_BASE + ALIGN_UP(vm->disk_used, SIZE_2M) + (like & (SIZE_2M - 1));

    if (len > DISK_SIZE / 2 || at + len > DISK_BASE + DISK_SIZE - PAGE_SIZE)
        return 0;
    vm->disk_used = at + len + PAGE_SIZE - DISK_BASE;
    return at;
}

uint64_t vmdisk_map(struct vm *vm, hpa_t base, uint64_t len, bool writable)
{
    uint64_t at = vmdisk_place(vm, base, len);

    return at && hostspace_map_disk(&vm->space, at, base, len, writable) == 0 ? at : 0;
}

void *vmdisk_image(struct vm *vm, hpa_t base, uint64_t len, bool writable)
{
    hpa_t first = ALIGN_DOWN(base, PAGE_SIZE);
    uint64_t bytes = ALIGN_UP(base + len, PAGE_SIZE) - first, at;

    if (!image_allows(first, bytes, vm_owner(vm), writable))
        return NULL;
    at = vmdisk_map(vm, first, bytes, writable);
    return at ? (void *)(uintptr_t)(at + (base - first)) : NULL;
}

static bool vmdisk_back(struct vm *vm, uint64_t at, uint64_t len)
{
    while (len) {
        hpa_t hpa;
        uint64_t got = guestram_alloc(len, vm_owner(vm), &hpa);

        if (got == 0)
            return false;
        if (hostspace_map_disk(&vm->space, at, hpa, got, true)) {
            guestram_free(hpa, got);
            return false;
        }
        at += got;
        len -= got;
    }
    return true;
}

void *vmdisk_memory(struct vm *vm, uint64_t len)
{
    uint64_t bytes = ALIGN_UP(len, GUESTRAM_BLOCK);
    uint64_t at = vmdisk_place(vm, 0, bytes);

    if (!at || vm->blank_count == VM_BLANKS_MAX || !vmdisk_back(vm, at, bytes))
        return NULL; /* what it got goes with the rest of the VM's memory */
    vm->blanks[vm->blank_count++] = (struct vm_blank){at, bytes};
    return (void *)(uintptr_t)at;
}

/* What is cleared at once, while the core's other guests have to wait. */
#define CLEAR_BYTES (256 * KiB)

bool vmdisk_clear(struct vm *vm)
{
    struct vm_blank *blank;
    uint64_t before, len;

    if (!vm->blank_count)
        return false;
    blank = &vm->blanks[vm->blank_count - 1];
    len = MIN(blank->len, CLEAR_BYTES);
    before = vmmem_open(vm);
    memset((void *)(uintptr_t)blank->at, 0, len);
    vmmem_close(before);
    blank->at += len;
    blank->len -= len;
    if (!blank->len)
        vm->blank_count--;
    return true;
}
