/* Any file as a kernel into a small VM: refused with a sentence, or loaded so that everything lies in guest memory. */
#include <stdlib.h>
#include <string.h>

#include "core/lib/bytes.h"
#include "core/lib/panic.h"
#include "guests/linux.h"
#include "guests/linux_header.h"
#include "guests/platform.h"

#define RAM (24 * MiB)

static uint8_t *ram;

static void check_loaded(const struct gmem *mem, const struct guest_files *files,
                         const struct guest_entry *entry)
{
    const uint8_t *zero = gmem_ptr(mem, entry->rsi, PAGE_SIZE);
    uint32_t initrd, kernel;

    assert(zero && gmem_ptr(mem, entry->rip, 1) && gmem_ptr(mem, entry->cr3, 6 * PAGE_SIZE));
    assert(gmem_ptr(mem, entry->gdt_base, entry->gdt_limit + 1));
    assert(strcmp(gmem_ptr(mem, get_le32(zero + LINUX_CMD_LINE_PTR), 4), "fuz") == 0);
    kernel = get_le32(zero + LINUX_CODE32_START);
    initrd = get_le32(zero + LINUX_RAMDISK_IMAGE);
    assert(kernel >= PC_HIGH_RAM);
    if (!guest_module_bytes(files))
        return;
    assert(initrd >= PC_HIGH_RAM && IS_ALIGNED(initrd, PAGE_SIZE));
    assert(initrd + guest_module_bytes(files) - 1 <= get_le32(zero + LINUX_INITRD_ADDR_MAX));
    assert(memcmp(gmem_ptr(mem, initrd, files->modules[0].len), files->modules[0].data,
                  files->modules[0].len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct guest_files files = {.cmdline = "fuz"};
    struct guest_entry entry;
    struct gmem mem;
    struct e820 map;
    char why[160] = "";
    int err;

    if (!ram)
        ram = calloc(1, RAM);
    if (size < 1)
        return 0;
    gmem_init(&mem, ram);
    if (gmem_add(&mem, 0, PC_LOW_RAM_END, true) || gmem_add(&mem, PC_HIGH_RAM, RAM - PC_HIGH_RAM, true))
        return 0;
    e820_build(&map, &mem, true);
    /* The first byte says how much of the rest, from the end, is the initrd. */
    files.modules[0].len = MIN(data[0], size - 1);
    files.module_count = 1;
    files.kernel = (struct guest_file){data + 1, size - 1 - files.modules[0].len, "fuz"};
    files.modules[0].data = data + 1 + files.kernel.len;
    err = linux_load(&mem, &files, &map, PC_ACPI_TABLES, &entry, why, sizeof(why));
    assert(err == 0 || why[0]);
    assert(err || linux_probe(files.kernel.data, files.kernel.len));
    if (!err)
        check_loaded(&mem, &files, &entry);
    return 0;
}
