/* The commands about VMs' devices: what they are and do, their limits, and a port's cable. */
#include "core/lib/error.h"
#include "core/lib/lock.h"
#include "core/lib/string.h"
#include "core/monitor.h"
#include "guests/board.h"
#include "guests/commands.h"
#include "guests/launch.h"

typedef unsigned long long ull;

static struct board_virtio *virtio_of(const struct vm *vm)
{
    return &((struct board *)vm->board)->virtio;
}

static const char *yes_no(bool yes)
{
    return yes ? "yes" : "no";
}

/* -- what there is. Counters of a device that works meanwhile are read as they go. --------------------------------- */

static void dev_queue(const struct vm *vm, const struct virtio *v, uint32_t index)
{
    const struct virtio_queue *queue = &v->queues[index];

    monitor_print("vm=%s slot=%u queue=%u size=%u vector=%d taken_index=%u given_index=%u waits=%s", vm->name,
                  v->pci.slot, index, queue->size,
                  queue->vector == VIRTIO_NO_VECTOR ? -1 : (int)queue->vector, queue->ring.avail,
                  queue->ring.used, yes_no(v->waiting & BIT(index)));
}

static void dev_common(const struct vm *vm, const struct virtio *v)
{
    uint32_t enabled = 0;

    for (uint32_t i = 0; i < v->desc.queues; i++)
        enabled += v->queues[i].enabled;
    monitor_print("vm=%s slot=%u kind=%s status=0x%02x rings=%s features=0x%llx queues=%u enabled=%u "
                  "chains=%llu interrupts=%llu",
                  vm->name, v->pci.slot, v->desc.name, v->status,
                  virtio_has(v, VIRTIO_F_RING_PACKED) ? "packed" : "split", (ull)v->accepted, v->desc.queues,
                  enabled, (ull)v->chains, (ull)v->interrupts);
    for (uint32_t i = 0; i < v->desc.queues; i++)
        if (v->queues[i].enabled)
            dev_queue(vm, v, i);
}

static void disk_show(const struct vm *vm, uint32_t index)
{
    const struct virtio_blk *blk = &virtio_of(vm)->blks[index];
    const struct vdisk *disk = &blk->disk;

    monitor_print(
        "vm=%s index=%u slot=%u disk=%.20s bytes=%llu read_only=%s reads=%llu read_bytes=%llu "
        "writes=%llu written_bytes=%llu errors=%llu overlay_kib=%llu overlay_used_kib=%llu iops=%llu "
        "bps=%llu held=%llu",
        vm->name, index, blk->v.pci.slot, blk->serial, (ull)disk->len, yes_no(disk->read_only),
        (ull)blk->reads, (ull)blk->read_bytes, (ull)blk->writes, (ull)blk->written_bytes, (ull)blk->errors,
        (ull)disk->slots * VDISK_CLUSTER / KiB, (ull)vdisk_overlay_used(disk) * VDISK_CLUSTER / KiB,
        (ull)blk->limit.rates.ops, (ull)blk->limit.rates.bytes, (ull)blk->limit.held);
}

static void net_show(const struct vm *vm, uint32_t index)
{
    const struct virtio_net *n = &virtio_of(vm)->nets[index];
    const uint8_t *mac = n->v.config;
    const struct vswitch_counters *sent = &n->port.in, *received = &n->port.out;

    monitor_print("vm=%s index=%u slot=%u net=%s port=%u link=%s mac=%02x:%02x:%02x:%02x:%02x:%02x pairs=%u "
                  "sent=%llu sent_bytes=%llu sent_bad=%llu received=%llu received_bytes=%llu dropped=%llu "
                  "too_short=%llu cut=%llu fps=%llu bps=%llu held=%llu",
                  vm->name, index, n->v.pci.slot, launch_spec(vm->id)->nets[index].lan, n->port.number,
                  n->port.down ? "down" : "up", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5], n->pairs,
                  (ull)sent->frames, (ull)sent->bytes, (ull)sent->dropped, (ull)received->frames,
                  (ull)received->bytes, (ull)received->dropped, (ull)n->too_short, (ull)n->cut,
                  (ull)n->limit.rates.ops, (ull)n->limit.rates.bytes, (ull)n->limit.held);
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

static void balloon_show(const struct vm *vm, const struct virtio_balloon *b)
{
    monitor_print(
        "vm=%s slot=%u target_kib=%llu actual_kib=%llu gone_mib=%llu reported_mib=%llu touched=%llu "
        "inflated=%llu deflated=%llu",
        vm->name, b->v.pci.slot, (ull)virtio_balloon_target(b) * PAGE_SIZE / KiB,
        (ull)virtio_balloon_actual(b) * PAGE_SIZE / KiB, (ull)vmballoon_gone(vm) / MiB,
        (ull)vmballoon_reported(vm) / MiB, (ull)vmballoon_touched(vm), (ull)b->inflated, (ull)b->deflated);
}

static void dev_vsock(const struct vm *vm, const struct virtio_vsock *s)
{
    dev_common(vm, &s->v);
    monitor_print("vm=%s slot=%u cid=%llu sent=%llu received=%llu refused=%llu waiting=%u held=%u", vm->name,
                  s->v.pci.slot, (ull)s->port.cid, (ull)s->port.sent, (ull)s->port.received,
                  (ull)s->port.refused, s->port.used, s->v.queues[VIRTIO_VSOCK_TRANSMIT].kept);
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
    const struct board_virtio *b = virtio_of(vm);

    const struct board_shmem *s = &((struct board *)vm->board)->shmem;

    (void)args;
    monitor_print("vm=%s devices=%u", vm->name,
                  b->blk_count + (b->scsi != NULL) + b->net_count + b->has_console + b->has_rng +
                      b->has_balloon + (b->vsock != NULL) + s->count);
    for (uint32_t i = 0; i < b->blk_count; i++) {
        dev_common(vm, &b->blks[i].v);
        disk_show(vm, i);
    }
    if (b->scsi)
        dev_scsi(vm, b->scsi);
    for (uint32_t i = 0; i < b->net_count; i++) {
        dev_common(vm, &b->nets[i].v);
        net_show(vm, i);
    }
    if (b->has_console)
        dev_common(vm, &b->console.v);
    if (b->has_rng)
        dev_common(vm, &b->rng.v);
    if (b->has_balloon) {
        dev_common(vm, &b->balloon.v);
        balloon_show(vm, &b->balloon);
    }
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

/* -- disks and ports: what is wanted of them ------------------------------------------------------------------------ */

enum link { LINK_KEEP, LINK_UP, LINK_DOWN };

struct order {
    bool net;         /* else disks */
    const char *ops;  /* what a limit on operations is called */
    bool all, change; /* all of a VM's; one of them is to be changed */
    uint32_t index;
    bool has_ops, has_bytes;
    struct vlimit_rates rates;
    enum link link;
};

static bool order_rate(const char *word, const char *name, bool size, bool *has, uint64_t *rate)
{
    size_t len = str_len(name);

    if (*has || !str_starts(word, name) || word[len] != '=')
        return false;
    *has = str_number(word + len + 1, size, rate) && *rate <= VLIMIT_RATE_MAX;
    return *has;
}

/* The words behind the VM's name: a number, then limits, or for a port `link up` or `link down`. */
static bool order_parse(struct order *order, uint32_t count, const char *const *words)
{
    uint64_t index = 0;
    bool numbered = count && str_number(words[0], false, &index) && index < UINT32_MAX;

    order->index = (uint32_t)index;
    order->all = count == 0;
    order->change = count > numbered;
    words += numbered;
    count -= numbered;
    if (order->net && count == 2 && str_eq(words[0], "link")) {
        order->link = str_eq(words[1], "up") ? LINK_UP : LINK_DOWN;
        return order->link == LINK_UP || str_eq(words[1], "down");
    }
    for (; count; words++, count--)
        if (!order_rate(words[0], order->ops, false, &order->has_ops, &order->rates.ops) &&
            !order_rate(words[0], "bps", true, &order->has_bytes, &order->rates.bytes))
            return false;
    return true;
}

static struct vlimit_rates order_rates(const struct order *order, const struct vlimit *limit)
{
    return (struct vlimit_rates){
        .ops = order->has_ops ? order->rates.ops : limit->rates.ops,
        .bytes = order->has_bytes ? order->rates.bytes : limit->rates.bytes,
    };
}

static void order_net(const struct order *order, struct virtio_net *n)
{
    struct vlimit_rates rates = order_rates(order, &n->limit);

    if (order->link != LINK_KEEP)
        virtio_net_link(n, order->link == LINK_UP);
    else
        virtio_net_limit(n, &rates);
}

static void order_disk(const struct order *order, struct virtio_blk *blk)
{
    struct vlimit_rates rates = order_rates(order, &blk->limit);

    virtio_blk_limit(blk, &rates);
}

static void order_obey(struct vm *vm, const struct order *order)
{
    struct board_virtio *b = virtio_of(vm);

    lock_take(&vm->devices);
    if (order->net)
        order_net(order, &b->nets[order->index]);
    else
        order_disk(order, &b->blks[order->index]);
    lock_drop(&vm->devices);
}

static void order_look(struct vm *vm, const struct launch_args *args)
{
    const struct order *order = (const struct order *)(uintptr_t)args->a;
    uint32_t count = order->net ? virtio_of(vm)->net_count : virtio_of(vm)->blk_count;

    if (!order->all && order->index >= count) {
        monitor_print("vm=%s index=%u error=not-there", vm->name, order->index);
        return;
    }
    if (order->change)
        order_obey(vm, order);
    for (uint32_t i = 0; i < count; i++)
        if (order->all || i == order->index)
            (order->net ? net_show : disk_show)(vm, i);
}

static int order_run(struct order *order, uint32_t count, const char *const *words)
{
    const struct launch_args args = {.a = (uintptr_t)order};
    uint32_t vm;

    if (!order_parse(order, count > 2 ? count - 2 : 0, words + MIN(count, 2u)))
        return ERR_INVALID;
    if (count == 1) { /* of all VMs that are there */
        for (vm = 0; vm < launch_count(); vm++)
            if (launch_visit(vm, order_look, &args) == ERR_BUSY)
                command_result(vm, ERR_BUSY);
        return 0;
    }
    vm = command_find(words[1]);
    return vm == LAUNCH_NONE ? 0 : command_result(vm, launch_visit(vm, order_look, &args));
}

static int command_disk(uint32_t count, const char *const *words)
{
    struct order order = {.ops = "iops"};

    return order_run(&order, count, words);
}

static int command_net(uint32_t count, const char *const *words)
{
    struct order order = {.net = true, .ops = "fps"};

    return order_run(&order, count, words);
}

/* args->a: the memory that the VM is to have, in bytes; UINT64_MAX: as much as before. */
static void balloon_look(struct vm *vm, const struct launch_args *args)
{
    struct board_virtio *b = virtio_of(vm);
    uint64_t memory = launch_spec(vm->id)->memory;

    if (!b->has_balloon) {
        monitor_print("vm=%s error=no-balloon", vm->name);
        return;
    }
    if (args->a != UINT64_MAX) {
        lock_take(&vm->devices);
        virtio_balloon_set_target(&b->balloon, (uint32_t)((memory - MIN(memory, args->a)) / PAGE_SIZE));
        lock_drop(&vm->devices);
    }
    balloon_show(vm, &b->balloon);
}

static int command_balloon(uint32_t count, const char *const *words)
{
    struct launch_args args = {.a = UINT64_MAX};
    uint32_t vm;

    if (count < 2 || count > 3 || (count == 3 && !str_number(words[2], true, &args.a)))
        return ERR_INVALID;
    vm = command_find(words[1]);
    return vm == LAUNCH_NONE ? 0 : command_result(vm, launch_visit(vm, balloon_look, &args));
}

int commands_devices_init(void)
{
    static const struct monitor_command commands[] = {
        {"balloon", "NAME [SIZE]", "shows a VM's balloon, or has it leave the VM so much memory",
         command_balloon},
        {"dev", "NAME", "shows a VM's disks, networks and other devices, with their queues", command_dev},
        {"disk", "[NAME [INDEX] [iops=N] [bps=SIZE]]", "shows disks, or sets a limit; 0 is none",
         command_disk},
        {"net", "[NAME [INDEX] [fps=N] [bps=SIZE]|[link up|down]]",
         "shows ports of switches, sets a limit, or plugs the cable in or out", command_net},
    };

    return monitor_register(commands, ARRAY_SIZE(commands));
}
