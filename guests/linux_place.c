#include "guests/linux_place.h"

#include "core/lib/error.h"
#include "core/lib/format.h"
#include "guests/platform.h"

/* Both must be reached by 32-bit pointers, and by the entry's page tables. */
#define PLACE_END (4 * GiB)

static unsigned long long to_mib(uint64_t bytes)
{
    return (bytes + MiB - 1) / MiB;
}

/* Cuts a slot to what may be used above 1 MiB and below limit; false if nothing is left. */
static bool slot_usable(const struct gmem_slot *slot, uint64_t limit, uint64_t *base, uint64_t *end)
{
    *base = MAX(slot->base, PC_HIGH_RAM);
    *end = MIN(slot->base + slot->len, limit);
    return slot->writable && *base < *end;
}

/*
 * The kernel's place: its preferred address, or if it is relocatable the next above that is free. Lower ones don't help:
 * it would move itself up again.
 */
static bool kernel_find(const struct gmem *mem, const struct linux_header *header, struct linux_place *place)
{
    for (uint32_t i = 0; i < mem->count; i++) {
        uint64_t base, end, at;

        if (!slot_usable(&mem->slots[i], PLACE_END, &base, &end))
            continue;
        at = header->pref_address;
        if (header->relocatable)
            at = ALIGN_UP(MAX(base, at), header->alignment);
        if (at < base || at >= end || header->init_size > end - at)
            continue;
        place->kernel = at;
        place->kernel_end = at + header->init_size;
        return true;
    }
    return false;
}

/* The highest page-aligned place for len bytes in [base, end), or 0. */
static gpa_t top_of(uint64_t base, uint64_t end, uint64_t len)
{
    gpa_t at;

    if (end < len)
        return 0;
    at = ALIGN_DOWN(end - len, PAGE_SIZE);
    return at >= base ? at : 0;
}

/* The highest place for the initrd that the kernel allows and doesn't use itself. */
static bool initrd_find(const struct gmem *mem, uint64_t limit, uint64_t len, struct linux_place *place)
{
    for (uint32_t i = mem->count; i-- > 0;) {
        uint64_t base, end;

        if (!slot_usable(&mem->slots[i], limit, &base, &end))
            continue;
        place->initrd = top_of(MAX(base, place->kernel_end), end, len);
        if (!place->initrd)
            place->initrd = top_of(base, MIN(end, place->kernel), len);
        if (place->initrd)
            return true;
    }
    return false;
}

int linux_place_find(const struct gmem *mem, const struct linux_header *header, uint64_t initrd_len,
                     struct linux_place *place, char *why, size_t why_size)
{
    uint64_t ram = gmem_ram_bytes(mem);

    *place = (struct linux_place){0};
    if (!kernel_find(mem, header, place)) {
        fmt_print(why, why_size, "the kernel needs %llu MiB from %llu MiB on; the VM has %llu MiB",
                  to_mib(header->init_size), to_mib(header->pref_address), to_mib(ram));
        return ERR_NOMEM;
    }
    if (initrd_len && !initrd_find(mem, MIN(header->initrd_max, PLACE_END), initrd_len, place)) {
        fmt_print(why, why_size,
                  "the kernel needs %llu MiB from %llu MiB on and the initrd %llu MiB; the VM has %llu MiB",
                  to_mib(header->init_size), to_mib(place->kernel), to_mib(initrd_len), to_mib(ram));
        return ERR_NOMEM;
    }
    return 0;
}
