/*
 * Shared memory between VMs as QEMU defines it: ivshmem with doorbells and MSI-X (QEMU's docs/specs/ivshmem-spec). Base address
 * 0 has the registers, 1 MSI-X, 2 the memory itself.
 */
#pragma once

#include "core/lib/lock.h"
#include "core/timer.h"
#include "drivers/virt/vpci.h"

#define VIVSHMEM_PEERS   64
#define VIVSHMEM_VECTORS 4

struct vivshmem;

/* Who shares one memory: each is known to the others by its number. */
struct vivshmem_group {
    struct lock lock; /* guards the peers; the lock of a timer queue is taken under it */
    struct vivshmem *peers[VIVSHMEM_PEERS];
};

struct vivshmem_config {
    struct vivshmem_group *group;
    struct timer_queue *timers;
    uint8_t *memory; /* as it is mapped while the VM runs */
    uint64_t len;    /* a power of two */
    /* Where the guest is to see it, or nowhere. */
    void (*place)(void *ctx, bool there, uint64_t addr);
    void *ctx;
};

struct vivshmem {
    struct vpci pci;
    struct vmsix msix;
    struct vivshmem_config config;
    uint32_t id;
    uint32_t rung;     /* vectors that a peer has asked for, a bit each; set from any core */
    struct timer ring; /* raises them, where this VM's devices are run */
    uint64_t sent, received;
};

/* Makes the device and puts it into a PCI slot and the group; false if that has too many. */
bool vivshmem_init(struct vivshmem *s, struct vpci_bus *bus, uint32_t slot,
                   const struct vivshmem_config *config);
void vivshmem_reset(struct vivshmem *s);
/* Before its memory goes. */
void vivshmem_remove(struct vivshmem *s);
