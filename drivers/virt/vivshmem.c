#include "drivers/virt/vivshmem.h"

#include "core/lib/string.h"

#define REGISTERS_SIZE 0x100
#define MSIX_SIZE      0x1000
#define MSIX_PENDING   0x800

enum { BAR_REGISTERS, BAR_MSIX, BAR_MEMORY };

/* Interrupt mask and status are there for devices without MSI-X alone: here they read as 0. */
enum { REG_POSITION = 8, REG_DOORBELL = 12 };

/* -- doorbells -------------------------------------------------------------------------------------------------- */

/* A peer's own core raises the interrupt: this one doesn't touch its device. */
static void doorbell_ring(struct vivshmem *s, uint32_t value)
{
    uint32_t peer = value >> 16, vector = value & 0xffff;
    struct vivshmem_group *group = s->config.group;

    if (peer >= VIVSHMEM_PEERS || vector >= VIVSHMEM_VECTORS)
        return;
    lock_take(&group->lock);
    if (group->peers[peer]) {
        s->sent++;
        __atomic_fetch_or(&group->peers[peer]->rung, BIT(vector), __ATOMIC_RELAXED);
        timer_arm(&group->peers[peer]->ring, 0);
    }
    lock_drop(&group->lock);
}

static void doorbell_heard(struct timer *timer, uint64_t now)
{
    struct vivshmem *s = CONTAINER_OF(timer, struct vivshmem, ring);
    uint32_t rung = __atomic_exchange_n(&s->rung, 0, __ATOMIC_RELAXED);

    (void)now;
    for (uint32_t i = 0; i < VIVSHMEM_VECTORS; i++)
        if (rung & BIT(i)) {
            s->received++;
            vpci_raise(&s->pci, i);
        }
}

/* -- registers -------------------------------------------------------------------------------------------------- */

static enum bus_result registers_access(void *dev, struct bus_access *access)
{
    struct vivshmem *s = dev;

    if (access->size != 4 || !IS_ALIGNED(access->addr, 4))
        return BUS_UNCLAIMED;
    if (!access->write)
        access->value = access->addr == REG_POSITION ? s->id : 0;
    else if (access->addr == REG_DOORBELL)
        doorbell_ring(s, (uint32_t)access->value);
    return BUS_OK;
}

static enum bus_result msix_access(void *dev, struct bus_access *access)
{
    struct vivshmem *s = dev;
    uint64_t addr = access->addr;
    enum bus_result result;

    access->addr -= addr >= MSIX_PENDING ? MSIX_PENDING : 0;
    result = addr >= MSIX_PENDING ? vmsix_pending(&s->msix, access) : vmsix_table(&s->msix, access);
    access->addr = addr;
    return result;
}

/* For what the guest can't reach by itself: instructions that access a device as well, and memory that couldn't be mapped. */
static enum bus_result memory_access(void *dev, struct bus_access *access)
{
    struct vivshmem *s = dev;

    if (access->addr >= s->config.len || access->size > s->config.len - access->addr)
        return BUS_UNCLAIMED;
    if (access->write) {
        memcpy(s->config.memory + access->addr, &access->value, access->size);
    } else {
        access->value = 0;
        memcpy(&access->value, s->config.memory + access->addr, access->size);
    }
    return BUS_OK;
}

static void bar_placed(void *dev, uint32_t bar, bool there, uint64_t addr)
{
    struct vivshmem *s = dev;

    if (bar == BAR_MEMORY)
        s->config.place(s->config.ctx, there, addr);
}

/* -- the device ------------------------------------------------------------------------------------------------- */

void vivshmem_reset(struct vivshmem *s)
{
    timer_disarm(&s->ring);
    __atomic_store_n(&s->rung, 0, __ATOMIC_RELAXED);
}

static void function_reset(void *dev)
{
    vivshmem_reset(dev);
}

static bool group_enter(struct vivshmem_group *group, struct vivshmem *s)
{
    uint32_t id = 0;

    lock_take(&group->lock);
    while (id < VIVSHMEM_PEERS && group->peers[id])
        id++;
    if (id < VIVSHMEM_PEERS) {
        s->id = id;
        group->peers[id] = s;
    }
    lock_drop(&group->lock);
    return id < VIVSHMEM_PEERS;
}

bool vivshmem_init(struct vivshmem *s, struct vpci_bus *bus, uint32_t slot,
                   const struct vivshmem_config *config)
{
    const struct vpci_config pci = {
        .name = "ivshmem",
        .vendor = 0x1af4,
        .device = 0x1110,
        .subsystem_vendor = 0x1af4,
        .subsystem = 0x1100,
        .revision = 1,
        .class = 0x0500,
        .reset = function_reset,
        .placed = bar_placed,
        .dev = s,
    };

    memset(s, 0, sizeof(*s));
    s->config = *config;
    timer_init(&s->ring, config->timers, doorbell_heard);
    vpci_init(&s->pci, bus, slot, &pci);
    vpci_add_bar(&s->pci, BAR_REGISTERS, VPCI_BAR_MEMORY, REGISTERS_SIZE, registers_access, s);
    vpci_add_bar(&s->pci, BAR_MSIX, VPCI_BAR_MEMORY, MSIX_SIZE, msix_access, s);
    vpci_add_bar(&s->pci, BAR_MEMORY, VPCI_BAR_PREFETCH64, config->len, memory_access, s);
    vpci_add_msix(&s->pci, &s->msix, VIVSHMEM_VECTORS, BAR_MSIX, 0, MSIX_PENDING);
    vpci_add_flr(&s->pci);
    return group_enter(config->group, s);
}

void vivshmem_remove(struct vivshmem *s)
{
    struct vivshmem_group *group = s->config.group;

    lock_take(&group->lock);
    if (group->peers[s->id] == s)
        group->peers[s->id] = NULL;
    lock_drop(&group->lock);
    timer_disarm(&s->ring);
}
