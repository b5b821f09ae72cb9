/* PCI functions of bus 0, by the configuration ports, and MSI-X. */
#pragma once

#include "guests/payload/payload.h"

#define PCI_NONE 32 /* no slot */

uint32_t pci_read(uint32_t slot, uint32_t offset);
void pci_write(uint32_t slot, uint32_t offset, uint32_t value);
/* The n-th function with that vendor and device, or PCI_NONE. */
uint32_t pci_find(uint16_t vendor, uint16_t device, uint32_t n);
/* Memory behind a base address register; where it is, and (with decoding off meanwhile) how large. */
uint64_t pci_bar(uint32_t slot, uint32_t bar);
uint64_t pci_bar_size(uint32_t slot, uint32_t bar);
void pci_bar_set(uint32_t slot, uint32_t bar, uint64_t address);
/* The capability of that id behind `from` (0: the first), or 0. */
uint32_t pci_cap(uint32_t slot, uint8_t id, uint32_t from);
/* Memory decoding and bus mastering. */
void pci_enable(uint32_t slot, bool on);
/* Vector n of the function is sent to this CPU from now on as `vector`; MSI-X is enabled. pci_msix_set: and it is counted. */
void pci_msix_point(uint32_t slot, uint32_t n, uint8_t vector);
void pci_msix_set(uint32_t slot, uint32_t n, uint8_t vector);
void pci_msix_mask(uint32_t slot, uint32_t n, bool masked);

static inline uint32_t mmio_read(uint64_t address)
{
    return *(volatile uint32_t *)address;
}

static inline void mmio_write(uint64_t address, uint32_t value)
{
    *(volatile uint32_t *)address = value;
}
