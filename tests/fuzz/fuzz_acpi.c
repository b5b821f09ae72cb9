/*
 * The ACPI reader over a flat memory made from the input: whatever it holds, the reader stays inside what it
 * mapped, gives all of it back, and its result is consistent. Checksums are put right first, else nothing
 * would get past them.
 */
#include <stdlib.h>
#include <string.h>

#include "core/lib/bytes.h"
#include "core/lib/panic.h"
#include "drivers/hw/acpi.h"

#define MEMORY_SIZE 4096u

static uint8_t memory[MEMORY_SIZE];
static size_t mapped;

static const void *map(void *ctx, hpa_t addr, uint64_t len)
{
    void *copy;

    (void)ctx;
    if (addr >= MEMORY_SIZE || len > MEMORY_SIZE - addr)
        return NULL;
    copy = malloc(len ? len : 1);
    memcpy(copy, memory + addr, len);
    mapped++;
    return copy;
}

static void unmap(void *ctx, const void *ptr, uint64_t len)
{
    (void)ctx;
    (void)len;
    mapped--;
    free((void *)ptr);
}

static void set_checksum(uint8_t *data, size_t len, size_t at)
{
    uint8_t sum = 0;

    data[at] = 0;
    for (size_t i = 0; i < len; i++)
        sum = (uint8_t)(sum + data[i]);
    data[at] = (uint8_t)-sum;
}

static void repair(uint32_t addr)
{
    uint32_t len;

    if (addr > MEMORY_SIZE - 36)
        return;
    len = get_le32(memory + addr + 4);
    if (len >= 36 && len <= MEMORY_SIZE - addr)
        set_checksum(memory + addr, len, 9);
}

static void check(const struct acpi_info *info)
{
    assert(info->cpu_count <= ACPI_MAX_CPUS && info->ioapic_count <= ACPI_MAX_IOAPICS);
    assert(info->override_count <= ACPI_MAX_OVERRIDES && info->ecam_count <= ACPI_MAX_ECAMS);
    for (uint32_t i = 0; i < info->cpu_count; i++)
        for (uint32_t j = 0; j < i; j++)
            assert(info->cpus[i] != info->cpus[j]);
    for (uint32_t i = 0; i < info->override_count; i++)
        assert(info->overrides[i].irq < 16);
    assert(info->power.slp_typa < 8 && info->power.slp_typb < 8);
}

/* Byte 0 tells which checksums are repaired; the RSDP is the first 36 bytes after it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct acpi_memory accessor = {map, unmap, NULL};
    struct acpi_info info;
    uint8_t rsdp[36];

    if (size < 1 + sizeof(rsdp))
        return 0;
    memset(memory, 0, sizeof(memory));
    memcpy(rsdp, data + 1, sizeof(rsdp));
    memcpy(memory, data + 1, size - 1 < MEMORY_SIZE ? size - 1 : MEMORY_SIZE);
    if (data[0] & 1) {
        memcpy(rsdp, "RSD PTR ", 8);
        set_checksum(rsdp, 20, 8);
        put_le32(rsdp + 20, 36);
        set_checksum(rsdp, 36, 32);
    }
    if (data[0] & 2)
        for (uint32_t addr = MEMORY_SIZE - 36; addr >= 36; addr--)
            if ((memory[addr] == 'X' || memory[addr] == 'R' || memory[addr] == 'A' || memory[addr] == 'F' ||
                 memory[addr] == 'D' || memory[addr] == 'S' || memory[addr] == 'H' || memory[addr] == 'M') &&
                addr % 4 == 0)
                repair(addr);
    acpi_read(&info, &accessor, rsdp, sizeof(rsdp), data[0] & 4);
    assert(mapped == 0);
    check(&info);
    return 0;
}
