/*
 * MSI-X (PCI 3.0, 6.8.2): a table of messages and the bits of those that wait because they are masked. A message is a write
 * of a dword to an address; who knows what is there is given it.
 */
#pragma once

#include "core/bus.h"

#define VMSIX_MAX 32 /* entries; one qword of pending bits has room for 64 */

/* What `send` of a function is told: a dword is written to memory. */
struct vmsi_port {
    void (*send)(void *ctx, uint64_t address, uint32_t data);
    void *ctx;
};

struct vmsix_entry {
    uint64_t address;
    uint32_t data;
    uint32_t control; /* bit 0: masked */
};

struct vmsix {
    uint32_t count;
    bool enabled, masked; /* message control: of the whole function */
    uint64_t pending;
    struct vmsi_port port;
    struct vmsix_entry table[VMSIX_MAX];
};

void vmsix_init(struct vmsix *msix, uint32_t count, const struct vmsi_port *port);
/* Disabled, all entries masked. */
void vmsix_reset(struct vmsix *msix);
/* The message control register was written. */
void vmsix_control(struct vmsix *msix, bool enabled, bool masked);
/* Sends the message of that entry, or lets it wait; without effect while MSI-X is disabled. */
void vmsix_raise(struct vmsix *msix, uint32_t vector);
/* Memory: 16 bytes an entry; a bit an entry. Dwords and qwords, aligned: the rest is undefined, and nothing here. */
enum bus_result vmsix_table(void *msix, struct bus_access *access);
enum bus_result vmsix_pending(void *msix, struct bus_access *access);
