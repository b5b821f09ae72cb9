#include "guests/kernel.h"

#include "core/lib/bytes.h"
#include "core/lib/error.h"
#include "core/lib/format.h"
#include "core/lib/string.h"
#include "guests/elf.h"
#include "guests/linux.h"
#include "guests/multiboot1.h"
#include "guests/multiboot2.h"
#include "guests/pvh.h"

/* Flat segments with base 0 and limit 4G, accessed bit set: code (64-bit), code (32-bit), data. */
#define GDT_CODE64 0x00af9b000000ffffull
#define GDT_CODE32 0x00cf9b000000ffffull
#define GDT_DATA   0x00cf93000000ffffull

void entry_gdt_write(uint8_t *gdt, bool long_mode)
{
    memset(gdt, 0, ENTRY_GDT_SIZE);
    put_le64(gdt + ENTRY_CS, long_mode ? GDT_CODE64 : GDT_CODE32);
    put_le64(gdt + ENTRY_DS, GDT_DATA);
}

/*
 * An image may have several headers, as Xen's hypervisor has: the first in this order counts. Multiboot's magic numbers are
 * looked for in any file, since a kernel may be of a form that only its header describes.
 */
static const struct {
    bool (*probe)(const void *file, uint64_t len);
    int (*load)(struct loader *l, struct guest_entry *entry);
} kernel_formats[] = {
    {multiboot2_probe, multiboot2_load},
    {multiboot1_probe, multiboot1_load},
    {pvh_probe, pvh_load},
};

/* What a file is that no loader takes. */
static int kernel_refuse(struct loader *l)
{
    const struct guest_file *kernel = &l->files->kernel;

    if (elf_probe(kernel->data, kernel->len))
        return loader_refuse(
            l, ERR_NOTSUP,
            "the kernel is an ELF file without a Multiboot header and without a PVH entry note");
    return loader_refuse(l, ERR_INVALID,
                         "the kernel is no bzImage, no Multiboot kernel and no ELF file: the signatures of "
                         "all are missing in its %llu bytes",
                         (unsigned long long)kernel->len);
}

/* Code behind an entry point has to be there, and a CPU in protected mode has to reach it. */
static int entry_check(struct loader *l, const struct guest_entry *entry)
{
    if (entry->rip < 4 * GiB && gmem_ptr(l->mem, entry->rip, 1))
        return 0;
    return loader_refuse(l, ERR_RANGE, "the kernel's entry point 0x%llx is where the VM has no memory",
                         (unsigned long long)entry->rip);
}

int kernel_load(const struct gmem *mem, const struct guest_files *files, const struct e820 *map, gpa_t rsdp,
                struct guest_entry *entry, char *why, size_t why_size)
{
    const struct guest_file *kernel = &files->kernel;
    struct loader l = {
        .mem = mem, .map = map, .files = files, .rsdp = rsdp, .why = why, .why_size = why_size};

    *entry = (struct guest_entry){.format = "linux"};
    if (linux_probe(kernel->data, kernel->len))
        return linux_load(mem, files, map, rsdp, entry, why, why_size);
    for (size_t i = 0; i < ARRAY_SIZE(kernel_formats); i++) {
        int err;

        if (!kernel_formats[i].probe(kernel->data, kernel->len))
            continue;
        err = kernel_formats[i].load(&l, entry);
        return err ? err : entry_check(&l, entry);
    }
    return kernel_refuse(&l);
}
