/*
 * A virtio 1.2 device: features, status, queues and interrupts (chapters 2 and 3), as a PCI function (4.1) without the legacy
 * interface. A kind of device adds its operations. All of it runs under the VM's device lock, with the VM's window loaded.
 *
 * A driver that breaks a rule of a queue finds the device in NEEDS_RESET, and that is all that comes of it.
 */
#pragma once

#include "core/timer.h"
#include "drivers/virt/vpci.h"
#include "drivers/virt/vring.h"

#define VIRTIO_QUEUES_MAX 16
#define VIRTIO_CONFIG_MAX 64

/* Device status */
#define VIRTIO_ACKNOWLEDGE 0x01
#define VIRTIO_DRIVER      0x02
#define VIRTIO_DRIVER_OK   0x04
#define VIRTIO_FEATURES_OK 0x08
#define VIRTIO_NEEDS_RESET 0x40
#define VIRTIO_FAILED      0x80

/* Feature bits that don't depend on the kind of device */
#define VIRTIO_F_INDIRECT_DESC BIT(28)
#define VIRTIO_F_EVENT_IDX     BIT(29)
#define VIRTIO_F_VERSION_1     BIT(32)
#define VIRTIO_F_RING_PACKED   BIT(34)
#define VIRTIO_F_RING_RESET    BIT(40)

#define VIRTIO_NO_VECTOR 0xffff

struct virtio;

struct virtio_ops {
    void (*reset)(struct virtio *v);                  /* may be NULL */
    void (*notify)(struct virtio *v, uint32_t queue); /* there may be buffers; the queue is ready */
    bool (*accepts)(uint64_t features);               /* a subset that works; NULL: each does */
};

/* What a device is. */
struct virtio_config {
    const char *name;
    uint16_t id;        /* 5 */
    uint16_t pci_class; /* class, subclass */
    uint64_t features;  /* of its kind */
    bool packed;        /* offers packed rings */
    uint32_t queues, config_len;
    uint32_t driver_from, driver_len; /* of the configuration, what the driver may write */
    const struct virtio_ops *ops;
};

/* What the devices of a VM share. */
struct virtio_host {
    struct vpci_bus *pci;
    const struct gmem *mem;
    struct timer_queue *timers;
    struct vring_chain *chain; /* the one that a device is just working on */
};

struct virtio_queue {
    struct vring ring;
    uint16_t size; /* as the driver set it */
    uint16_t vector;
    bool enabled;
    gpa_t desc, driver, device;
    uint64_t progress; /* bytes of the buffer that is taken next that the kind has seen to in earlier turns */
    uint32_t
        kept; /* buffers that the kind has taken and not given back; the driver's again when the queue is reset */
};

struct virtio {
    struct vpci pci;
    struct vmsix msix;
    struct virtio_config desc;
    struct virtio_host host;
    struct timer later; /* work that was put off */
    uint32_t waiting;   /* queues that have some, a bit each */
    uint64_t now;       /* the VM's time at the last access or timer */
    uint64_t offered, accepted;
    uint32_t device_select, driver_select; /* halves of the features that are shown */
    uint16_t queue_select, config_vector;
    uint8_t status, isr, generation;
    uint8_t config[VIRTIO_CONFIG_MAX]; /* the kind's own */
    uint32_t window;                   /* offset in the configuration space of the way to registers there */
    uint64_t chains, interrupts;       /* counters */
    struct virtio_queue queues[VIRTIO_QUEUES_MAX];
};

/* Makes the device and puts it into a PCI slot. */
void virtio_init(struct virtio *v, const struct virtio_host *host, uint32_t slot,
                 const struct virtio_config *config);
/* As after power-on or a status of 0; the PCI function is the board's to reset. */
void virtio_reset(struct virtio *v);

static inline bool virtio_has(const struct virtio *v, uint64_t feature)
{
    return v->accepted & feature;
}
/* Takes the next buffer of a queue, into host.chain; false if there is none, or the device may not work. */
bool virtio_take(struct virtio *v, uint32_t queue);
/* Puts it back as the next one to be taken: nothing else was taken or given since. */
void virtio_untake(struct virtio *v, uint32_t queue);
/* Gives it back. */
void virtio_give(struct virtio *v, uint32_t queue, uint32_t written);
/* After the last of a series: raises an interrupt if the driver wants one. */
void virtio_signal(struct virtio *v, uint32_t queue);
/* The same for several buffers: the driver sees all of them or none. */
void virtio_untake_all(struct virtio *v, uint32_t queue, const struct vring_used *used, uint32_t count);
void virtio_give_all(struct virtio *v, uint32_t queue, const struct vring_used *used, uint32_t count);
/* Has the queue's notify called again soon, by a timer: what is left would take too long now. */
void virtio_defer(struct virtio *v, uint32_t queue);
/* Has it called again at that time, or earlier. */
void virtio_defer_until(struct virtio *v, uint32_t queue, uint64_t when);
/* Has it called soon for all queues that wait: what they waited for has changed. */
void virtio_hurry(struct virtio *v);
/* The driver broke a rule: the device does nothing more until it is reset. */
void virtio_break(struct virtio *v);
/* The kind's configuration was changed, not by the driver. */
void virtio_config_changed(struct virtio *v);

/* What the registers do (virtio_pci.c). */
void virtio_set_status(struct virtio *v, uint8_t status);
void virtio_enable_queue(struct virtio *v, struct virtio_queue *queue);
void virtio_reset_queue(struct virtio_queue *queue);
void virtio_notify(struct virtio *v, uint32_t queue);
/* The registers: capabilities and base address of the PCI function; vpci_config.config. */
void virtio_pci_init(struct virtio *v);
void virtio_pci_config(void *v, uint32_t offset, uint32_t size, bool write);
