/* The devices of a VM: where the memory of disks comes from, which switches there are, where random numbers are from. */
#include "guests/machine_devices.h"

#include "core/lib/error.h"
#include "core/lib/log.h"
#include "core/lib/string.h"
#include "core/vmdisk.h"
#include "core/x86/entropy.h"
#include "guests/shmems.h"
#include "guests/switches.h"
#include "mm/image.h"

#define OVERLAY_DEFAULT (64 * MiB)

static uint64_t index_bytes(uint64_t len)
{
    return ALIGN_UP(vdisk_index_bytes(len), VDISK_CLUSTER);
}

uint64_t machine_overlay_bytes(uint64_t len, uint64_t wanted)
{
    uint64_t whole = ALIGN_UP(len, VDISK_CLUSTER);

    return index_bytes(len) + ALIGN_UP(MIN(wanted ? wanted : OVERLAY_DEFAULT, whole), VDISK_CLUSTER);
}

static uint8_t *disk_image(struct vm *vm, const struct machine_disk *disk)
{
    bool write = disk->kind == DISK_WRITE;

    if (image_declare(disk->base, disk->len, write ? vm_owner(vm) : OWNER_FREE))
        return NULL;
    return vmdisk_image(vm, disk->base, disk->len, write);
}

/* The overlay's memory begins with its index. */
static bool disk_overlay(struct vm *vm, const struct machine_disk *disk, struct vdisk *out)
{
    uint8_t *memory = vmdisk_memory(vm, disk->memory);

    if (!memory)
        return false;
    out->index = (uint32_t *)(void *)memory;
    out->overlay = memory + index_bytes(disk->len);
    out->slots = (uint32_t)((disk->memory - index_bytes(disk->len)) / VDISK_CLUSTER);
    return true;
}

static int disk_open(struct vm *vm, const struct machine_disk *disk, struct vdisk *out)
{
    *out = (struct vdisk){.len = disk->len, .read_only = disk->kind == DISK_READ_ONLY};
    out->image = disk->kind == DISK_RAM ? vmdisk_memory(vm, disk->memory) : disk_image(vm, disk);
    if (out->image && (disk->kind != DISK_COW || disk_overlay(vm, disk, out)))
        return 0;
    log_error("vm=%s: its disk '%s' can't be had: %llu MiB of guest memory are wanted", vm->name, disk->name,
              (unsigned long long)disk->memory / MiB);
    return ERR_NOMEM;
}

static int disks_open(struct vm *vm, const struct machine_spec *spec, struct board_devices *out)
{
    for (uint32_t i = 0; i < spec->disk_count; i++) {
        int err = disk_open(vm, &spec->disks[i], &out->disks[i].disk);

        if (err)
            return err;
        out->disks[i].serial = spec->disks[i].name;
        out->disks[i].rates = spec->disks[i].rates;
    }
    out->disk_count = spec->disk_count;
    return 0;
}

static int cdroms_open(struct vm *vm, const struct machine_spec *spec, struct board_devices *out)
{
    for (uint32_t i = 0; i < spec->cdrom_count; i++) {
        int err = disk_open(vm, &spec->cdroms[i], &out->cdroms[i].disk);

        if (err)
            return err;
        out->cdroms[i].serial = spec->cdroms[i].name;
    }
    out->cdrom_count = spec->cdrom_count;
    return 0;
}

/* An address that no other VM of this machine has: locally administered, with the numbers of the VM and of its port. */
static void mac_choose(const struct vm *vm, uint32_t index, const struct machine_net *net,
                       uint8_t mac[VSWITCH_MAC])
{
    const uint8_t own[VSWITCH_MAC] = {0x52, 0x54, 0x00, 0x4b, (uint8_t)vm->id, (uint8_t)index};

    memcpy(mac, net->has_mac ? net->mac : own, VSWITCH_MAC);
}

static int nets_open(struct vm *vm, const struct machine_spec *spec, struct board_devices *out)
{
    for (uint32_t i = 0; i < spec->net_count; i++) {
        out->nets[i].net = switch_get(spec->nets[i].lan);
        if (!out->nets[i].net) {
            log_error("vm=%s: there is no room for the switch '%s'", vm->name, spec->nets[i].lan);
            return ERR_NOMEM;
        }
        mac_choose(vm, i, &spec->nets[i], out->nets[i].mac);
        out->nets[i].rates = spec->nets[i].rates;
    }
    out->net_count = spec->net_count;
    return 0;
}

static int shmems_open(struct vm *vm, const struct machine_spec *spec, struct board_devices *out)
{
    for (uint32_t i = 0; i < spec->shmem_count; i++) {
        const struct machine_shmem *from = &spec->shmems[i];

        out->shmems[i] = (struct board_shmem_from){.name = from->name,
                                                   .share = vmshare_join(vm, from->name, from->bytes),
                                                   .group = shmem_group_get(from->name)};
        if (!out->shmems[i].share || !out->shmems[i].group) {
            log_error("vm=%s: its shared memory '%s' can't be had: %llu KiB of guest memory in one piece are "
                      "wanted",
                      vm->name, from->name, (unsigned long long)from->bytes / KiB);
            return ERR_NOMEM;
        }
    }
    out->shmem_count = spec->shmem_count;
    return 0;
}

int machine_devices(struct vm *vm, const struct machine_spec *spec, struct board_devices *out)
{
    int err;

    *out = (struct board_devices){.rng = spec->rng,
                                  .console = spec->console,
                                  .split_rings = spec->split_rings,
                                  .entropy = entropy_read,
                                  .cid = spec->cid,
                                  .balloon = spec->balloon,
                                  .port_count = spec->port_count};
    for (uint32_t i = 0; i < spec->port_count; i++)
        out->ports[i] = spec->ports[i];
    err = disks_open(vm, spec, out);
    if (!err)
        err = cdroms_open(vm, spec, out);
    if (!err)
        err = nets_open(vm, spec, out);
    return err ? err : shmems_open(vm, spec, out);
}
