/* The registers of a virtio device in the memory of its PCI function (virtio 1.2, 4.1.4). */
#include "core/lib/bytes.h"
#include "core/lib/string.h"
#include "drivers/virt/virtio.h"

/* Base address 0: a page for registers, for notifications, for MSI-X' table and for its pending bits. */
#define BAR_SIZE        0x4000
#define PLACE_COMMON    0x0000
#define PLACE_ISR       0x0100
#define PLACE_DEVICE    0x0200
#define PLACE_NOTIFY    0x1000
#define PLACE_TABLE     0x2000
#define PLACE_PENDING   0x3000
#define COMMON_LENGTH   0x40
#define ISR_LENGTH      4
#define NOTIFY_MULTIPLE 4

/* Capabilities: type, bar and the place in it; 4.1.4 */
#define CAP_LENGTH 16
#define CAP_TYPE   3
#define CAP_BAR    4
#define CAP_OFFSET 8
#define CAP_LEN    12
#define CAP_EXTRA  16 /* the notify multiplier, or the data of the window */
#define CAP_LONG   20

enum { TYPE_COMMON = 1, TYPE_NOTIFY, TYPE_ISR, TYPE_DEVICE, TYPE_PCI };

/* 4.1.4.3 */
enum common {
    DEVICE_FEATURE_SELECT = 0x00,
    DEVICE_FEATURE = 0x04,
    DRIVER_FEATURE_SELECT = 0x08,
    DRIVER_FEATURE = 0x0c,
    CONFIG_VECTOR = 0x10,
    NUM_QUEUES = 0x12,
    DEVICE_STATUS = 0x14,
    CONFIG_GENERATION = 0x15,
    QUEUE_SELECT = 0x16,
    QUEUE_SIZE = 0x18,
    QUEUE_VECTOR = 0x1a,
    QUEUE_ENABLE = 0x1c,
    QUEUE_NOTIFY_OFF = 0x1e,
    QUEUE_DESC = 0x20,
    QUEUE_DRIVER = 0x28,
    QUEUE_DEVICE = 0x30,
    QUEUE_NOTIFY_DATA = 0x38,
    QUEUE_RESET = 0x3a,
};

static struct virtio_queue *selected(struct virtio *v)
{
    return v->queue_select < v->desc.queues ? &v->queues[v->queue_select] : NULL;
}

/* -- reading ---------------------------------------------------------------------------------------------------- */

static uint64_t queue_read(const struct virtio *v, const struct virtio_queue *queue, uint32_t offset)
{
    switch (offset) {
    case QUEUE_SIZE:
        return queue->size;
    case QUEUE_VECTOR:
        return queue->vector;
    case QUEUE_ENABLE:
        return queue->enabled;
    case QUEUE_NOTIFY_OFF:
        return v->queue_select;
    case QUEUE_DESC:
    case QUEUE_DESC + 4:
        return queue->desc >> 8 * (offset & 4);
    case QUEUE_DRIVER:
    case QUEUE_DRIVER + 4:
        return queue->driver >> 8 * (offset & 4);
    case QUEUE_DEVICE:
    case QUEUE_DEVICE + 4:
        return queue->device >> 8 * (offset & 4);
    default: /* a reset is over as soon as it is begun */
        return 0;
    }
}

static uint32_t feature_half(uint64_t features, uint32_t select)
{
    return select < 2 ? (uint32_t)(features >> 32 * select) : 0;
}

static uint64_t common_read(struct virtio *v, uint32_t offset)
{
    switch (offset) {
    case DEVICE_FEATURE_SELECT:
        return v->device_select;
    case DEVICE_FEATURE:
        return feature_half(v->offered, v->device_select);
    case DRIVER_FEATURE_SELECT:
        return v->driver_select;
    case DRIVER_FEATURE:
        return feature_half(v->accepted, v->driver_select);
    case CONFIG_VECTOR:
        return v->config_vector;
    case NUM_QUEUES:
        return v->desc.queues;
    case DEVICE_STATUS:
        return v->status;
    case CONFIG_GENERATION:
        return v->generation;
    case QUEUE_SELECT:
        return v->queue_select;
    default: /* a queue that isn't there has size 0 */
        return selected(v) ? queue_read(v, selected(v), offset) : 0;
    }
}

/* -- writing ---------------------------------------------------------------------------------------------------- */

static void set_half(uint64_t *value, uint32_t half, uint32_t to)
{
    *value = half ? (uint32_t)*value | (uint64_t)to << 32 : (*value & ~(uint64_t)UINT32_MAX) | to;
}

/* A vector that isn't there reads back as none (4.1.5.1.2). */
static uint16_t vector_of(const struct virtio *v, uint64_t value)
{
    return value < v->msix.count ? (uint16_t)value : VIRTIO_NO_VECTOR;
}

static void address_write(gpa_t *address, uint32_t offset, uint32_t size, uint64_t value)
{
    if (size == 8)
        *address = value;
    else
        set_half(address, !!(offset & 4), (uint32_t)value);
}

/* 2.7: the size of a split ring is a power of two. */
static bool size_good(const struct virtio *v, uint64_t size)
{
    return size > 0 && size <= VRING_MAX && (virtio_has(v, VIRTIO_F_RING_PACKED) || (size & (size - 1)) == 0);
}

/* What a queue is made of can't change while it is enabled. */
static void queue_setup(struct virtio *v, struct virtio_queue *queue, uint32_t offset, uint32_t size,
                        uint64_t value)
{
    if (queue->enabled)
        return;
    if (offset == QUEUE_SIZE && size_good(v, value))
        queue->size = (uint16_t)value;
    else if ((offset & ~4u) == QUEUE_DESC)
        address_write(&queue->desc, offset, size, value);
    else if ((offset & ~4u) == QUEUE_DRIVER)
        address_write(&queue->driver, offset, size, value);
    else if ((offset & ~4u) == QUEUE_DEVICE)
        address_write(&queue->device, offset, size, value);
}

static void queue_write(struct virtio *v, struct virtio_queue *queue, uint32_t offset, uint32_t size,
                        uint64_t value)
{
    if (offset == QUEUE_VECTOR)
        queue->vector = vector_of(v, value);
    else if (offset == QUEUE_ENABLE && value == 1)
        virtio_enable_queue(v, queue);
    else if (offset == QUEUE_RESET && value == 1 && virtio_has(v, VIRTIO_F_RING_RESET))
        virtio_reset_queue(queue);
    else
        queue_setup(v, queue, offset, size, value);
}

static void common_write(struct virtio *v, uint32_t offset, uint32_t size, uint64_t value)
{
    switch (offset) {
    case DEVICE_FEATURE_SELECT:
        v->device_select = (uint32_t)value;
        break;
    case DRIVER_FEATURE_SELECT:
        v->driver_select = (uint32_t)value;
        break;
    case DRIVER_FEATURE: /* 3.1.1: they are settled with FEATURES_OK */
        if (v->driver_select < 2 && !(v->status & VIRTIO_FEATURES_OK))
            set_half(&v->accepted, v->driver_select, (uint32_t)value);
        break;
    case CONFIG_VECTOR:
        v->config_vector = vector_of(v, value);
        break;
    case DEVICE_STATUS:
        virtio_set_status(v, (uint8_t)value);
        break;
    case QUEUE_SELECT:
        v->queue_select = (uint16_t)value;
        break;
    default:
        if (selected(v))
            queue_write(v, selected(v), offset, size, value);
    }
}

/* -- accesses --------------------------------------------------------------------------------------------------- */

/* Bytes of the field at that offset. */
static uint32_t field_size(uint32_t offset)
{
    if (offset < CONFIG_VECTOR)
        return 4;
    if (offset == DEVICE_STATUS || offset == CONFIG_GENERATION)
        return 1;
    return offset >= QUEUE_DESC && offset < QUEUE_NOTIFY_DATA ? 8 : 2;
}

/*
 * 4.1.3.1 has drivers access fields as a whole, or by halves where they have 64 bits; but iPXE reads the features as words, and a
 * part of a field can be told without changing anything.
 */
static enum bus_result common_access(struct virtio *v, struct bus_access *access)
{
    uint32_t offset = (uint32_t)access->addr, field = field_size(offset), part = MIN(field, 4u);
    uint32_t start = ALIGN_DOWN(offset, part);

    if (!IS_ALIGNED(offset, access->size) || access->size > field || (access->write && access->size < part))
        return BUS_UNCLAIMED;
    if (access->write)
        common_write(v, offset, access->size, access->value);
    else
        access->value = common_read(v, start) >> 8 * (offset - start);
    return BUS_OK;
}

/* Reading tells why there was an interrupt, and ends it. */
static enum bus_result isr_access(struct virtio *v, struct bus_access *access)
{
    if (access->write)
        return BUS_OK;
    access->value = access->addr == PLACE_ISR ? v->isr : 0;
    if (access->addr == PLACE_ISR) {
        v->isr = 0;
        vpci_set_intx(&v->pci, false);
    }
    return BUS_OK;
}

static bool inside(const struct bus_access *access, uint64_t place, uint64_t len)
{
    return access->addr >= place && access->addr - place < len &&
           access->size <= len - (access->addr - place);
}

static enum bus_result device_access(struct virtio *v, struct bus_access *access)
{
    uint64_t offset = access->addr - PLACE_DEVICE;

    if (!access->write) {
        access->value = 0;
        memcpy(&access->value, v->config + offset, access->size);
    } else if (inside(access, PLACE_DEVICE + v->desc.driver_from, v->desc.driver_len)) {
        memcpy(v->config + offset, &access->value, access->size);
    }
    return BUS_OK;
}

static enum bus_result bar_access(void *dev, struct bus_access *access)
{
    struct virtio *v = dev;
    enum bus_result result;
    uint64_t addr = access->addr;

    v->now = access->now;
    if (inside(access, PLACE_NOTIFY, NOTIFY_MULTIPLE * VIRTIO_QUEUES_MAX)) {
        if (access->write)
            virtio_notify(v, (uint32_t)(addr - PLACE_NOTIFY) / NOTIFY_MULTIPLE);
        else
            access->value = 0;
        return BUS_OK;
    }
    if (inside(access, PLACE_COMMON, COMMON_LENGTH))
        return common_access(v, access);
    if (inside(access, PLACE_ISR, ISR_LENGTH))
        return isr_access(v, access);
    if (inside(access, PLACE_DEVICE, v->desc.config_len))
        return device_access(v, access);
    access->addr -= addr >= PLACE_PENDING ? PLACE_PENDING : PLACE_TABLE;
    result = addr >= PLACE_PENDING ? vmsix_pending(&v->msix, access)
             : addr >= PLACE_TABLE ? vmsix_table(&v->msix, access)
                                   : BUS_UNCLAIMED;
    access->addr = addr;
    return result;
}

/*
 * 4.1.4.9: a window to the registers for who can reach the configuration space alone: bar, offset and length are written there
 * first; reading or writing the data does the access.
 */
void virtio_pci_config(void *dev, uint32_t offset, uint32_t size, bool write)
{
    struct virtio *v = dev;
    uint8_t *cap = &v->pci.config[v->window];
    uint32_t at = v->window + CAP_EXTRA;
    struct bus_access access = {
        .addr = get_le32(cap + CAP_OFFSET),
        .size = get_le32(cap + CAP_LEN),
        .value = get_le32(cap + CAP_EXTRA),
        .write = write,
        .now = v->now,
    };
    bool sound = cap[CAP_BAR] == 0 && (access.size == 1 || access.size == 2 || access.size == 4) &&
                 access.addr <= BAR_SIZE - access.size && IS_ALIGNED(access.addr, access.size);

    if (offset >= at + 4 || offset + size <= at || !sound)
        return;
    if (bar_access(v, &access) == BUS_OK && !write)
        put_le32(cap + CAP_EXTRA, (uint32_t)access.value);
}

/* -- setting up ------------------------------------------------------------------------------------------------- */

static uint32_t cap_add(struct virtio *v, uint8_t type, uint32_t place, uint32_t len)
{
    uint32_t bytes = type == TYPE_NOTIFY || type == TYPE_PCI ? CAP_LONG : CAP_LENGTH;
    uint32_t at = vpci_add_cap(&v->pci, PCI_CAP_VENDOR, bytes);
    uint8_t *cap = &v->pci.config[at];

    cap[2] = (uint8_t)bytes;
    cap[CAP_TYPE] = type;
    put_le32(cap + CAP_OFFSET, place);
    put_le32(cap + CAP_LEN, len);
    return at;
}

void virtio_pci_init(struct virtio *v)
{
    uint32_t at;

    vpci_add_bar(&v->pci, 0, VPCI_BAR_MEMORY64, BAR_SIZE, bar_access, v);
    vpci_add_msix(&v->pci, &v->msix, v->desc.queues + 1, 0, PLACE_TABLE, PLACE_PENDING);
    cap_add(v, TYPE_COMMON, PLACE_COMMON, COMMON_LENGTH);
    at = cap_add(v, TYPE_NOTIFY, PLACE_NOTIFY, NOTIFY_MULTIPLE * VIRTIO_QUEUES_MAX);
    put_le32(&v->pci.config[at + CAP_EXTRA], NOTIFY_MULTIPLE);
    cap_add(v, TYPE_ISR, PLACE_ISR, ISR_LENGTH);
    if (v->desc.config_len)
        cap_add(v, TYPE_DEVICE, PLACE_DEVICE, v->desc.config_len);
    v->window = cap_add(v, TYPE_PCI, 0, 0);
    v->pci.writable[v->window + CAP_BAR] = UINT8_MAX;
    put_le64(&v->pci.writable[v->window + CAP_OFFSET], UINT64_MAX); /* and length */
    put_le32(&v->pci.writable[v->window + CAP_EXTRA], UINT32_MAX);
    vpci_add_flr(&v->pci);
}
