#include "guests/e820.h"

#include "core/lib/panic.h"
#include "guests/platform.h"

/* Appends [base, end), joined to the entry before it if it continues that. Callers go upwards. */
static void range_add(struct e820 *map, uint64_t base, uint64_t end, uint32_t type)
{
    struct e820_entry *last = map->count ? &map->entries[map->count - 1] : NULL;

    if (base >= end)
        return;
    if (last && last->type == type && last->base + last->len == base) {
        last->len += end - base;
        return;
    }
    assert(map->count < E820_MAX);
    map->entries[map->count++] = (struct e820_entry){base, end - base, type};
}

/* The part of a slot that lies in [from, to). */
static void slot_add(struct e820 *map, const struct gmem_slot *slot, uint64_t from, uint64_t to)
{
    uint64_t base = MAX(slot->base, from), end = MIN(slot->base + slot->len, to);

    range_add(map, base, end, slot->writable ? E820_RAM : E820_RESERVED);
}

void e820_build(struct e820 *map, const struct gmem *mem, bool ecam)
{
    map->count = 0;
    for (uint32_t i = 0; i < mem->count; i++)
        slot_add(map, &mem->slots[i], 0, PC_EBDA);
    range_add(map, PC_EBDA, PC_LOW_RAM_END, E820_RESERVED);
    range_add(map, PC_ACPI_TABLES, PC_HIGH_RAM, E820_RESERVED);
    for (uint32_t i = 0; i < mem->count; i++)
        slot_add(map, &mem->slots[i], PC_HIGH_RAM, PC_PCI_WINDOW);
    if (ecam)
        range_add(map, PC_ECAM, PC_ECAM + PC_ECAM_SIZE, E820_RESERVED);
    for (uint32_t i = 0; i < mem->count; i++)
        slot_add(map, &mem->slots[i], PC_ECAM + PC_ECAM_SIZE, UINT64_MAX);
}
