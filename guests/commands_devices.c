/* The command about a VM's devices. */
#include "core/lib/error.h"
#include "core/monitor.h"
#include "guests/board.h"
#include "guests/commands.h"
#include "guests/launch.h"

typedef unsigned long long ull;

/* What all of them have. Counters of a device that works meanwhile are read as they go. */
static void dev_common(const struct vm *vm, const struct virtio *v)
{
    uint32_t enabled = 0;

    for (uint32_t i = 0; i < v->desc.queues; i++)
        enabled += v->queues[i].enabled;
    monitor_print(
        "vm=%s slot=%u kind=%s status=0x%02x rings=%s queues=%u enabled=%u chains=%llu interrupts=%llu",
        vm->name, v->pci.slot, v->desc.name, v->status,
        virtio_has(v, VIRTIO_F_RING_PACKED) ? "packed" : "split", v->desc.queues, enabled, (ull)v->chains,
        (ull)v->interrupts);
}

static void dev_blk(const struct vm *vm, const struct virtio_blk *blk)
{
    const struct vdisk *disk = &blk->disk;

    dev_common(vm, &blk->v);
    monitor_print("vm=%s slot=%u disk=%.20s bytes=%llu read_only=%s reads=%llu read_bytes=%llu writes=%llu "
                  "written_bytes=%llu errors=%llu overlay_kib=%llu overlay_used_kib=%llu",
                  vm->name, blk->v.pci.slot, blk->serial, (ull)disk->len, disk->read_only ? "yes" : "no",
                  (ull)blk->reads, (ull)blk->read_bytes, (ull)blk->writes, (ull)blk->written_bytes,
                  (ull)blk->errors, (ull)disk->slots * VDISK_CLUSTER / KiB,
                  (ull)vdisk_overlay_used(disk) * VDISK_CLUSTER / KiB);
}

static void dev_scsi(const struct vm *vm, const struct virtio_scsi *scsi)
{
    dev_common(vm, &scsi->v);
    for (uint32_t i = 0; i < scsi->target_count; i++) {
        const struct vcdrom *cd = &scsi->targets[i];

        monitor_print("vm=%s slot=%u target=%u cdrom=%s bytes=%llu reads=%llu read_bytes=%llu errors=%llu",
                      vm->name, scsi->v.pci.slot, i, cd->name, (ull)cd->disc.len, (ull)cd->reads,
                      (ull)cd->read_bytes, (ull)cd->errors);
    }
}

static void dev_net(const struct vm *vm, const struct virtio_net *n)
{
    const uint8_t *mac = n->v.config;
    const struct vswitch_counters *sent = &n->port.in, *received = &n->port.out;

    dev_common(vm, &n->v);
    monitor_print(
        "vm=%s slot=%u mac=%02x:%02x:%02x:%02x:%02x:%02x port=%u sent=%llu sent_bytes=%llu sent_bad=%llu "
        "received=%llu received_bytes=%llu dropped=%llu too_short=%llu",
        vm->name, n->v.pci.slot, mac[0], mac[1], mac[2], mac[3], mac[4], mac[5], n->port.number,
        (ull)sent->frames, (ull)sent->bytes, (ull)sent->dropped, (ull)received->frames, (ull)received->bytes,
        (ull)received->dropped, (ull)n->too_short);
}

static void dev_vsock(const struct vm *vm, const struct virtio_vsock *s)
{
    dev_common(vm, &s->v);
    monitor_print("vm=%s slot=%u cid=%llu sent=%llu received=%llu refused=%llu waiting=%u", vm->name,
                  s->v.pci.slot, (ull)s->port.cid, (ull)s->port.sent, (ull)s->port.received,
                  (ull)s->port.refused, s->port.used);
}

static void dev_shmem(const struct vm *vm, const struct board_shmem_device *d)
{
    monitor_print("vm=%s slot=%u kind=ivshmem shmem=%s bytes=%llu peer=%u sent=%llu received=%llu", vm->name,
                  d->s.pci.slot, d->name, (ull)d->share->len, d->s.id, (ull)d->s.sent, (ull)d->s.received);
}

static void dev_hpet(const struct vm *vm, const struct vhpet *h)
{
    monitor_print("vm=%s kind=hpet counter=%s legacy=%s timers=%s,%s,%s interrupts=%llu", vm->name,
                  vhpet_running(h) ? "running" : "halted", vhpet_replaces(h) ? "yes" : "no", vhpet_use(h, 0),
                  vhpet_use(h, 1), vhpet_use(h, 2), (ull)h->interrupts);
}

static void dev_look(struct vm *vm, const struct launch_args *args)
{
    const struct board_virtio *b = &((struct board *)vm->board)->virtio;

    const struct board_shmem *s = &((struct board *)vm->board)->shmem;

    (void)args;
    monitor_print("vm=%s devices=%u", vm->name,
                  b->blk_count + (b->scsi != NULL) + b->net_count + b->has_console + b->has_rng +
                      (b->vsock != NULL) + s->count);
    for (uint32_t i = 0; i < b->blk_count; i++)
        dev_blk(vm, &b->blks[i]);
    if (b->scsi)
        dev_scsi(vm, b->scsi);
    for (uint32_t i = 0; i < b->net_count; i++)
        dev_net(vm, &b->nets[i]);
    if (b->has_console)
        dev_common(vm, &b->console.v);
    if (b->has_rng)
        dev_common(vm, &b->rng.v);
    if (b->vsock)
        dev_vsock(vm, b->vsock);
    for (uint32_t i = 0; i < s->count; i++)
        dev_shmem(vm, &s->devices[i]);
    dev_hpet(vm, &((struct board *)vm->board)->hpet);
}

static int command_dev(uint32_t count, const char *const *words)
{
    const struct launch_args none = {0};
    uint32_t vm;

    if (count != 2)
        return ERR_INVALID;
    vm = command_find(words[1]);
    return vm == LAUNCH_NONE ? 0 : command_result(vm, launch_visit(vm, dev_look, &none));
}

int commands_devices_init(void)
{
    static const struct monitor_command commands[] = {
        {"dev", "NAME", "shows a VM's disks, networks and other devices", command_dev},
    };

    return monitor_register(commands, ARRAY_SIZE(commands));
}
