/*
 * A PCI function with a type 0 header (PCI 3.0, chapter 6): base address registers that put handlers on the VM's buses, an
 * interrupt pin, capabilities, MSI and MSI-X, and a reset of its own. A device adds what it has between vpci_init and the
 * first access. A range that something else has already stays without this function until that goes away.
 */
#pragma once

#include "core/bus.h"
#include "core/irq.h"
#include "drivers/virt/vmsi.h"
#include "drivers/virt/vmsix.h"
#include "drivers/virt/vpci_regs.h"
#include "drivers/virt/vpciconf.h"

#define VPCI_SLOTS 32

struct vpci;

/* What the functions of a VM share. */
struct vpci_bus {
    struct vpciconf *conf;
    struct bus *pio, *mmio;
    struct vmsi_port msi;
    irq_set intx; /* line is the slot, every function uses INTA */
    void *intx_ctx;
    struct vpci *functions[VPCI_SLOTS];
};

enum vpci_bar_kind { VPCI_BAR_NONE, VPCI_BAR_IO, VPCI_BAR_MEMORY, VPCI_BAR_MEMORY64, VPCI_BAR_PREFETCH64 };

struct vpci_bar {
    enum vpci_bar_kind kind;
    uint64_t size; /* a power of two */
    bus_handler handler;
    void *dev;
    bool claimed; /* it is on the bus, at base */
    uint64_t base;
};

/* What a function is, and what it is told; each of the callbacks may be NULL. */
struct vpci_config {
    const char *name; /* for the bus */
    uint16_t vendor, device, subsystem_vendor, subsystem;
    uint8_t revision, prog_if;
    uint16_t class;            /* class, subclass */
    void (*reset)(void *dev);  /* a function level reset */
    void (*master)(void *dev); /* it may write to memory from here on */
    /* A base address register decodes there from now on, or nowhere. */
    void (*placed)(void *dev, uint32_t bar, bool there, uint64_t addr);
    /* Registers of a capability of its own are to be read, or were written. */
    void (*config)(void *dev, uint32_t offset, uint32_t size, bool write);
    void *dev;
};

struct vpci {
    struct vpci_bus *bus;
    uint32_t slot;
    struct vpci_function function;
    struct vpci_config desc;
    uint8_t config[PCI_CONFIG_SIZE], writable[PCI_CONFIG_SIZE];
    uint32_t caps_end, last_cap; /* where the next capability goes; 0: there is none */
    struct vpci_bar bars[PCI_BARS];
    struct vmsix *msix;
    struct vmsi *msi;
    uint32_t msix_cap, msi_cap, af_cap; /* offsets, 0: none */
    bool intx;                          /* the function asks for an interrupt */
};

/* Puts the function into a slot of bus 0, which must be free. */
void vpci_init(struct vpci *f, struct vpci_bus *bus, uint32_t slot, const struct vpci_config *desc);
/* Adds register n (a 64-bit one takes n + 1, too). */
void vpci_add_bar(struct vpci *f, uint32_t n, enum vpci_bar_kind kind, uint64_t size, bus_handler handler,
                  void *dev);
/* Adds a capability of so many bytes, id and next included; returns where it is in f->config. */
uint32_t vpci_add_cap(struct vpci *f, uint8_t id, uint32_t len);
/* MSI-X, with its table and its pending bits in memory of that base address register; they are the device's to put there. */
void vpci_add_msix(struct vpci *f, struct vmsix *msix, uint32_t count, uint32_t bar, uint32_t table,
                   uint32_t pending);
void vpci_add_msi(struct vpci *f, struct vmsi *msi, uint32_t log2_count);
void vpci_add_flr(struct vpci *f);

/* As after power-on: decodes nothing, base addresses 0. Doesn't call desc.reset. */
void vpci_reset(struct vpci *f);
/*
 * What firmware does before a system starts: all base addresses one after another from `memory` and `port` upwards, large
 * ones from `memory_end` downwards, those of 64 bits that have no room there from `above`; decoding on, the interrupt line register
 * filled in. False if they don't fit below the ends; those are then left out.
 */
struct vpci_window {
    uint64_t memory, memory_end, above, above_end, port, port_end;
};
bool vpci_place(struct vpci *f, struct vpci_window *window, uint8_t interrupt_line);

/* The level of the interrupt pin; it is kept to itself while MSI or MSI-X is enabled. */
void vpci_set_intx(struct vpci *f, bool level);
/* Raises a vector by MSI-X or MSI; false if neither is enabled. */
bool vpci_raise(struct vpci *f, uint32_t vector);
/* May it read and write memory? */
static inline bool vpci_is_master(const struct vpci *f)
{
    return f->config[PCI_COMMAND] & PCI_COMMAND_MASTER;
}
