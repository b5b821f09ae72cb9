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

/* The first in the file that has this name and another size. */
static const struct config_shmem *shmem_other_size(const struct config *config,
                                                   const struct config_shmem *shmem)
{
    for (uint32_t i = 0; i < config->vm_count; i++)
        for (uint32_t n = 0; n < config->vms[i].shmem_count; n++) {
            const struct config_shmem *other = &config->vms[i].shmems[n];

            if (str_eq(other->name, shmem->name) && other->bytes != shmem->bytes)
                return other;
        }
    return NULL;
}

static uint32_t shmems_check(const struct config *config, const struct config_vm *vm, config_report report,
                             void *ctx)
{
    uint32_t faults = 0;
    char sentence[320];

    for (uint32_t i = 0; i < vm->shmem_count; i++) {
        const struct config_shmem *other = shmem_other_size(config, &vm->shmems[i]);

        if (!other)
            continue;
        fmt_print(sentence, sizeof(sentence),
                  "shmem '%s' has another size on line %u: all that share it have the same", other->name,
                  other->line);
        report(ctx, vm->shmems[i].line, sentence);
        faults++;
    }
    return faults;
}

static bool port_is_named(const struct config_vm *vm, const struct config_port *port, const char *name)
{
    size_t len = str_len(vm->name);

    return str_starts(name, vm->name) && name[len] == '.' && str_eq(name + len + 1, port->name);
}

/* A port's output must not look like another VM's. */
static uint32_t ports_check(const struct config *config, const struct config_vm *vm, config_report report,
                            void *ctx)
{
    uint32_t faults = 0;
    char sentence[320];

    for (uint32_t i = 0; i < vm->port_count; i++)
        for (uint32_t n = 0; n < config->vm_count; n++) {
            if (!port_is_named(vm, &vm->ports[i], config->vms[n].name))
                continue;
            fmt_print(sentence, sizeof(sentence), "virtio_port '%s' would speak as VM '%s' of line %u",
                      vm->ports[i].name, config->vms[n].name, config->vms[n].line);
            report(ctx, vm->ports[i].line, sentence);
            faults++;
        }
    return faults;
}

/* Sockets find a VM by its number. */
static uint32_t cid_check(const struct config *config, const struct config_vm *vm, config_report report,
                          void *ctx)
{
    char sentence[320];

    for (const struct config_vm *other = config->vms; other < vm && vm->cid; other++) {
        if (other->cid != vm->cid)
            continue;
        fmt_print(sentence, sizeof(sentence), "vsock %u is that of VM '%s' on line %u", vm->cid, other->name,
                  other->cid_line);
        report(ctx, vm->cid_line, sentence);
        return 1;
    }
    return 0;
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
        faults += shmems_check(config, vm, report, ctx);
        faults += ports_check(config, vm, report, ctx);
        faults += cid_check(config, vm, report, ctx);
        if (faults > before)
            vm->bad = true;
    }
    return faults;
}
