/* The files that VMs are made of, one like the other. */
#include "core/lib/format.h"
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
    return n < vm->disk_count ? &vm->disks[n].file : NULL;
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

uint32_t config_check(struct config *config, config_lookup lookup, config_report report, void *ctx)
{
    uint32_t missing = 0;

    for (uint32_t i = 0; i < config->vm_count; i++) {
        struct config_vm *vm = &config->vms[i];
        const struct config_file *file;

        for (uint32_t n = 0; (file = config_file_at(vm, n)); n++)
            if (!file_check(file, lookup, report, ctx)) {
                vm->bad = true;
                missing++;
            }
    }
    return missing;
}
