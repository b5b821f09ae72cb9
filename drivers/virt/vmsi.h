/*
 * MSI (PCI 3.0, 6.8.1) with a 64-bit address and a mask for each vector: registers in the configuration space, of which this
 * is the meaning. drivers/virt/vpci.h puts them there.
 */
#pragma once

#include "drivers/virt/vmsix.h"

#define VMSI_LENGTH  24
#define VMSI_CONTROL 2 /* offsets in the capability */
#define VMSI_ADDRESS 4
#define VMSI_DATA    12
#define VMSI_MASK    16
#define VMSI_PENDING 20

#define VMSI_CONTROL_ENABLE    0x0001
#define VMSI_CONTROL_VECTORS   0x0070 /* how many the system allows: log2 */
#define VMSI_CONTROL_ADDRESS64 0x0080
#define VMSI_CONTROL_MASKING   0x0100

struct vmsi {
    uint32_t log2_count; /* vectors that the function asks for */
    uint8_t *cap;        /* the capability in the configuration space */
    struct vmsi_port port;
};

/* Fills in what can't be written, and tells in `writable` what can. */
void vmsi_init(struct vmsi *msi, uint8_t *cap, uint8_t *writable, uint32_t log2_count,
               const struct vmsi_port *port);
bool vmsi_enabled(const struct vmsi *msi);
/* Sends that vector's message, or lets it wait if it is masked. Several vectors share one if fewer are allowed. */
void vmsi_raise(struct vmsi *msi, uint32_t vector);
/* The capability was written: what waited may go. */
void vmsi_written(struct vmsi *msi);
/* What can be written is back at 0: nothing waits any more. */
void vmsi_reset(struct vmsi *msi);
