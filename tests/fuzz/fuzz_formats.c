/*
 * Any file as a kernel into a small VM, by the formats that have headers of addresses: refused with a sentence, or loaded. Memory
 * beside the VM's RAM has a pattern, and so have holes in it: nothing of that may change.
 */
#include <stdlib.h>
#include <string.h>

#include "core/lib/bytes.h"
#include "core/lib/panic.h"
#include "guests/kernel.h"
#include "guests/platform.h"

#define RAM     (MiB + 256 * KiB) /* small, so that the fuzzer finds its borders */
#define WINDOW  (RAM + 64 * KiB)
#define PATTERN 0xa5

static uint8_t *window;

/* What is in RAM is no matter, and stays from one run to the next. */
static void window_make(void)
{
    window = malloc(WINDOW);
    memset(window, PATTERN, WINDOW);
}

/* Equal to itself, one byte further. */
static void check_pattern(uint64_t from, uint64_t to)
{
    assert(window[from] == PATTERN && memcmp(window + from, window + from + 1, to - from - 1) == 0);
}

static void check_loaded(const struct gmem *mem, const struct guest_entry *entry)
{
    assert(entry->rip < 4 * GiB && gmem_ptr(mem, entry->rip, 1));
    assert(gmem_ptr(mem, entry->gdt_base, entry->gdt_limit + 1));
    if (!entry->long_mode && entry->rbx)
        assert(gmem_guest_writable(mem, entry->rbx, 56));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct guest_files files = {.cmdline = "fuz", .module_count = 2};
    struct guest_entry entry;
    struct gmem mem;
    struct e820 map;
    char why[200] = "";
    int err;

    if (!window)
        window_make();
    if (size < 2)
        return 0;
    gmem_init(&mem, window);
    if (gmem_add(&mem, 0, PC_LOW_RAM_END, true) || gmem_add(&mem, PC_ROM, PC_HIGH_RAM - PC_ROM, false) ||
        gmem_add(&mem, PC_HIGH_RAM, RAM - PC_HIGH_RAM, true))
        return 0;
    e820_build(&map, &mem, true);
    files.modules[0] = (struct guest_file){data, data[0], "m"};
    files.modules[0].len = MIN(files.modules[0].len, size);
    files.modules[1] = (struct guest_file){data, size, "n"};
    files.kernel = (struct guest_file){data + 1, size - 1, "fuz zy"};
    err = kernel_load(&mem, &files, &map, PC_ACPI_TABLES, &entry, why, sizeof(why));
    assert(err == 0 || why[0]);
    if (!err)
        check_loaded(&mem, &entry);
    check_pattern(PC_LOW_RAM_END, PC_HIGH_RAM);
    check_pattern(RAM, WINDOW);
    return 0;
}
