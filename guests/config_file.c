/* The files that VMs are made of, one like the other. */
#include "core/lib/format.h"
#include "core/lib/string.h"
#include "guests/config.h"

const struct config_file *config_file_at(const struct config_vm *vm, uint32_t n)
{
    if (vm->kernel.name && n-- == 0)
        return &vm->kernel;
    if (vm->firmware.name && n-- == 0)
        return &vm->firmware;
    if (n < vm->initrd_count)
        return &vm->initrds[n];
    n -= vm->initrd_count;
    for (uint32_t i = 0; i < vm->disk_count; i++)
        if (vm->disks[i].kind != DISK_RAM && n-- == 0)
            return &vm->disks[i].file;
    for (uint32_t i = 0; i < vm->cdrom_count; i++)
        if (n-- == 0)
            return &vm->cdroms[i].file;
    return NULL;
}

static bool file_check(const struct config_file *file, config_lookup lookup, config_report report, void *ctx)
{
    char sentence[320];

    if (lookup(ctx, file->name))
        return true;
    fmt_print(sentence, sizeof(sentence), "%s '%s' is missing", file->key, file->name);
    report(ctx, file->line, sentence);
    return false;
}

/* Whoever else uses the file of a disk that is written. */
static const struct config_file *disk_other_use(const struct config *config, const struct config_file *disk)
{
    const struct config_file *file;

    for (uint32_t i = 0; i < config->vm_count; i++)
        for (uint32_t n = 0; (file = config_file_at(&config->vms[i], n)); n++)
            if (file != disk && str_eq(file->name, disk->name))
                return file;
    return NULL;
}

/* Returns the number of faults. */
static uint32_t disks_check(const struct config *config, const struct config_vm *vm, config_report report,
                            void *ctx)
{
    uint32_t shared = 0;
    char sentence[320];

    for (uint32_t i = 0; i < vm->disk_count; i++) {
        const struct config_file *file = &vm->disks[i].file, *other;

        if (vm->disks[i].kind != DISK_WRITE || !(other = disk_other_use(config, file)))
            continue;
        fmt_print(sentence, sizeof(sentence),
                  "disk '%s' is written, and used on line %u, too: add ',cow' here, or ',ro' to both",
                  file->name, other->line);
        report(ctx, file->line, sentence);
        shared++;
    }
    return shared;
}

uint32_t config_check(struct config *config, config_lookup lookup, config_report report, void *ctx)
{
    uint32_t faults = 0;

    for (uint32_t i = 0; i < config->vm_count; i++) {
        struct config_vm *vm = &config->vms[i];
        const struct config_file *file;
        uint32_t before = faults;

        for (uint32_t n = 0; (file = config_file_at(vm, n)); n++)
            faults += !file_check(file, lookup, report, ctx);
        faults += disks_check(config, vm, report, ctx);
        if (faults > before)
            vm->bad = true;
    }
    return faults;
}
