#include "drivers/virt/virtio.h"

#include "core/lib/panic.h"
#include "core/lib/string.h"

#define ISR_QUEUE  BIT(0)
#define ISR_CONFIG BIT(1)

#define FEATURES_OF_ALL                                                                                      \
    (VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX | VIRTIO_F_VERSION_1 | VIRTIO_F_RING_RESET)

/* -- interrupts ------------------------------------------------------------------------------------------------- */

static void interrupt(struct virtio *v, uint16_t vector, uint8_t cause)
{
    v->interrupts++;
    /* 4.1.4.5.1: that the configuration has changed is told here in any case, of queues without MSI-X alone. */
    if (cause == ISR_CONFIG || !v->msix.enabled) {
        v->isr |= cause;
        vpci_set_intx(&v->pci, true);
    }
    if (v->msix.enabled && vector != VIRTIO_NO_VECTOR)
        vpci_raise(&v->pci, vector);
}

void virtio_config_changed(struct virtio *v)
{
    v->generation++;
    if (v->status & VIRTIO_DRIVER_OK)
        interrupt(v, v->config_vector, ISR_CONFIG);
}

/* 2.1.2: the driver is told if it has come so far that it would listen. */
void virtio_break(struct virtio *v)
{
    if (v->status & VIRTIO_NEEDS_RESET)
        return;
    v->status |= VIRTIO_NEEDS_RESET;
    v->waiting = 0;
    if (v->status & VIRTIO_DRIVER_OK)
        interrupt(v, v->config_vector, ISR_CONFIG);
}

/* -- queues ----------------------------------------------------------------------------------------------------- */

/* 3.1.1: nothing is taken before DRIVER_OK; and a function that isn't a bus master reaches no memory. */
static bool queue_ready(const struct virtio *v, uint32_t queue)
{
    return v->queues[queue].enabled &&
           (v->status & (VIRTIO_DRIVER_OK | VIRTIO_NEEDS_RESET)) == VIRTIO_DRIVER_OK &&
           vpci_is_master(&v->pci);
}

void virtio_notify(struct virtio *v, uint32_t queue)
{
    if (queue < v->desc.queues && queue_ready(v, queue))
        v->desc.ops->notify(v, queue);
}

static void notify_all(struct virtio *v)
{
    for (uint32_t i = 0; i < v->desc.queues; i++)
        virtio_notify(v, i);
}

bool virtio_take(struct virtio *v, uint32_t queue)
{
    enum vring_result result = VRING_EMPTY;

    if (queue_ready(v, queue))
        result = vring_pop(&v->queues[queue].ring, v->host.mem, v->host.chain);
    if (result == VRING_BROKEN)
        virtio_break(v);
    v->chains += result == VRING_CHAIN;
    return result == VRING_CHAIN;
}

void virtio_untake_all(struct virtio *v, uint32_t queue, const struct vring_used *used, uint32_t count)
{
    uint32_t descs = 0;

    for (uint32_t i = 0; i < count; i++)
        descs += used[i].descs;
    vring_unpop(&v->queues[queue].ring, count, descs);
    v->chains -= count;
}

void virtio_untake(struct virtio *v, uint32_t queue)
{
    const struct vring_used used = {v->host.chain->id, v->host.chain->descs, 0};

    virtio_untake_all(v, queue, &used, 1);
}

void virtio_give_all(struct virtio *v, uint32_t queue, const struct vring_used *used, uint32_t count)
{
    if (!vring_push(&v->queues[queue].ring, v->host.mem, used, count))
        virtio_break(v);
}

void virtio_give(struct virtio *v, uint32_t queue, uint32_t written)
{
    const struct vring_used used = {v->host.chain->id, v->host.chain->descs, written};

    virtio_give_all(v, queue, &used, 1);
}

void virtio_signal(struct virtio *v, uint32_t queue)
{
    if (v->queues[queue].enabled && vring_wants_interrupt(&v->queues[queue].ring, v->host.mem))
        interrupt(v, v->queues[queue].vector, ISR_QUEUE);
}

void virtio_defer_until(struct virtio *v, uint32_t queue, uint64_t when)
{
    v->waiting |= (uint32_t)BIT(queue);
    if (when < v->later.deadline)
        timer_arm(&v->later, MAX(when, v->now + 1)); /* not in this round of timers */
}

void virtio_defer(struct virtio *v, uint32_t queue)
{
    virtio_defer_until(v, queue, 0);
}

void virtio_hurry(struct virtio *v)
{
    if (v->waiting)
        timer_arm(&v->later, v->now + 1);
}

static void later_run(struct timer *timer, uint64_t now)
{
    struct virtio *v = CONTAINER_OF(timer, struct virtio, later);
    uint32_t waiting = v->waiting;

    v->now = now;
    v->waiting = 0;
    for (uint32_t i = 0; i < v->desc.queues; i++)
        if (waiting & BIT(i))
            virtio_notify(v, i);
}

void virtio_reset_queue(struct virtio_queue *queue)
{
    *queue = (struct virtio_queue){.size = VRING_MAX, .vector = VIRTIO_NO_VECTOR};
}

void virtio_enable_queue(struct virtio *v, struct virtio_queue *queue)
{
    if (queue->enabled || !(v->status & VIRTIO_FEATURES_OK))
        return;
    queue->ring = (struct vring){
        .packed = virtio_has(v, VIRTIO_F_RING_PACKED),
        .indirect = virtio_has(v, VIRTIO_F_INDIRECT_DESC),
        .event_idx = virtio_has(v, VIRTIO_F_EVENT_IDX),
        .size = queue->size,
        .desc = queue->desc,
        .driver = queue->driver,
        .device = queue->device,
    };
    queue->enabled = true;
    if (!vring_start(&queue->ring, v->host.mem))
        virtio_break(v);
}

/* -- status ----------------------------------------------------------------------------------------------------- */

void virtio_reset(struct virtio *v)
{
    timer_disarm(&v->later);
    v->waiting = 0;
    v->accepted = 0;
    v->device_select = v->driver_select = 0;
    v->queue_select = 0;
    v->config_vector = VIRTIO_NO_VECTOR;
    v->status = v->isr = 0;
    vpci_set_intx(&v->pci, false);
    for (uint32_t i = 0; i < v->desc.queues; i++)
        virtio_reset_queue(&v->queues[i]);
    if (v->desc.ops->reset)
        v->desc.ops->reset(v);
}

/* 2.2.2: nothing that wasn't offered, nothing without what it needs, and no driver of before virtio 1.0. */
static bool features_good(const struct virtio *v)
{
    return !(v->accepted & ~v->offered) && virtio_has(v, VIRTIO_F_VERSION_1) &&
           (!v->desc.ops->accepts || v->desc.ops->accepts(v->accepted));
}

/* 2.1.1: 0 resets; no bit is taken back otherwise, and one that mustn't be set yet stays 0. */
void virtio_set_status(struct virtio *v, uint8_t status)
{
    uint8_t added = status & (uint8_t)~v->status & (uint8_t)~VIRTIO_NEEDS_RESET;

    if (status == 0) {
        virtio_reset(v);
        return;
    }
    if ((added & VIRTIO_FEATURES_OK) && !features_good(v))
        added &= (uint8_t)~VIRTIO_FEATURES_OK;
    if (!((v->status | added) & VIRTIO_FEATURES_OK))
        added &= (uint8_t)~VIRTIO_DRIVER_OK;
    v->status |= added;
    if (added & VIRTIO_DRIVER_OK)
        notify_all(v); /* what is there already needn't be told again */
}

static void pci_was_reset(void *dev)
{
    virtio_reset(dev);
}

static void pci_is_master(void *dev)
{
    notify_all(dev);
}

void virtio_init(struct virtio *v, const struct virtio_host *host, uint32_t slot,
                 const struct virtio_config *config)
{
    const struct vpci_config pci = {
        .name = config->name,
        .vendor = 0x1af4,
        .device = 0x1040 + config->id,
        .subsystem_vendor = 0x1af4,
        .subsystem = 0x1040 + config->id,
        .revision = 1,
        .class = config->pci_class,
        .reset = pci_was_reset,
        .master = pci_is_master,
        .config = virtio_pci_config,
        .dev = v,
    };

    assert(config->queues <= VIRTIO_QUEUES_MAX && config->config_len <= VIRTIO_CONFIG_MAX);
    memset(v, 0, sizeof(*v));
    v->desc = *config;
    v->host = *host;
    v->offered = config->features | FEATURES_OF_ALL | (config->packed ? VIRTIO_F_RING_PACKED : 0);
    timer_init(&v->later, host->timers, later_run);
    vpci_init(&v->pci, host->pci, slot, &pci);
    virtio_pci_init(v);
    virtio_reset(v);
}
