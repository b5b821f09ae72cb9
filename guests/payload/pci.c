#include "guests/payload/pci.h"

#define CONFIG_ADDRESS 0xcf8
#define CONFIG_DATA    0xcfc
#define COMMAND        0x04
#define COMMAND_ON     0x406 /* memory, master; no pin */
#define BAR(n)         (0x10 + 4 * (n))
#define BAR_WIDE       0x4
#define CAPABILITIES   0x34
#define CAP_MSIX       0x11
#define MSIX_ON        BIT(31)
#define MESSAGE        0xfee00000u

uint32_t pci_read(uint32_t slot, uint32_t offset)
{
    outl(CONFIG_ADDRESS, 0x80000000u | slot << 11 | (offset & 0xfc));
    return inl(CONFIG_DATA);
}

void pci_write(uint32_t slot, uint32_t offset, uint32_t value)
{
    outl(CONFIG_ADDRESS, 0x80000000u | slot << 11 | (offset & 0xfc));
    outl(CONFIG_DATA, value);
}

uint32_t pci_find(uint16_t vendor, uint16_t device, uint32_t n)
{
    for (uint32_t slot = 0; slot < PCI_NONE; slot++)
        if (pci_read(slot, 0) == (vendor | (uint32_t)device << 16) && n-- == 0)
            return slot;
    return PCI_NONE;
}

uint64_t pci_bar(uint32_t slot, uint32_t bar)
{
    uint32_t low = pci_read(slot, BAR(bar));

    return (low & ~0xfu) | (low & BAR_WIDE ? (uint64_t)pci_read(slot, BAR(bar + 1)) << 32 : 0);
}

void pci_bar_set(uint32_t slot, uint32_t bar, uint64_t address)
{
    bool wide = pci_read(slot, BAR(bar)) & BAR_WIDE;

    pci_write(slot, BAR(bar), (uint32_t)address);
    if (wide)
        pci_write(slot, BAR(bar + 1), (uint32_t)(address >> 32));
}

uint64_t pci_bar_size(uint32_t slot, uint32_t bar)
{
    uint32_t command = pci_read(slot, COMMAND);
    uint64_t before = pci_bar(slot, bar), mask;

    pci_write(slot, COMMAND, command & ~3u);
    pci_bar_set(slot, bar, UINT64_MAX);
    mask = pci_bar(slot, bar);
    pci_bar_set(slot, bar, before);
    pci_write(slot, COMMAND, command);
    return mask & (~mask + 1);
}

uint32_t pci_cap(uint32_t slot, uint8_t id, uint32_t from)
{
    uint32_t at = from ? pci_read(slot, from) >> 8 & 0xff : pci_read(slot, CAPABILITIES) & 0xff;

    while (at && (pci_read(slot, at) & 0xff) != id)
        at = pci_read(slot, at) >> 8 & 0xff;
    return at;
}

void pci_enable(uint32_t slot, bool on)
{
    pci_write(slot, COMMAND, on ? COMMAND_ON : 0);
}

static uint64_t msix_entry(uint32_t slot, uint32_t n)
{
    uint32_t table = pci_read(slot, pci_cap(slot, CAP_MSIX, 0) + 4);

    return pci_bar(slot, table & 7) + (table & ~7u) + 16 * n;
}

void pci_msix_mask(uint32_t slot, uint32_t n, bool masked)
{
    mmio_write(msix_entry(slot, n) + 12, masked);
}

void pci_msix_point(uint32_t slot, uint32_t n, uint8_t vector)
{
    uint32_t cap = pci_cap(slot, CAP_MSIX, 0);
    uint64_t entry = msix_entry(slot, n);

    pci_write(slot, cap, pci_read(slot, cap) | MSIX_ON);
    mmio_write(entry, MESSAGE);
    mmio_write(entry + 4, 0);
    mmio_write(entry + 8, vector);
    mmio_write(entry + 12, 0);
}

void pci_msix_set(uint32_t slot, uint32_t n, uint8_t vector)
{
    irq_count(vector, false);
    pci_msix_point(slot, n, vector);
}
