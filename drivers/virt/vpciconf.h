/*
 * The two ways to PCI configuration: mechanism #1 (PCI 3.0, 3.2.2.3.2), address at 0xcf8, data at 0xcfc; and ECAM (PCI
 * Express 3.0, 7.2.2), 4 KiB of memory a function. Functions of bus 0 are pointers in a table; where there is none, reads
 * give all ones and writes vanish. All are conventional functions: beyond 256 bytes they have nothing. Only a dword access
 * to 0xcf8 is an address: smaller ones belong to whatever else is there, above all the reset register at 0xcf9.
 */
#pragma once

#include "core/bus.h"

#define VPCI_FUNCTIONS               256
#define VPCI_CONFIG_SIZE             256
#define VPCI_DEVFN(device, function) ((device) << 3 | (function))

/* A function as the configuration mechanism sees it: offset + size never leaves its 256 bytes. */
struct vpci_function {
    uint32_t (*read)(void *dev, uint32_t offset, uint32_t size);
    void (*write)(void *dev, uint32_t offset, uint32_t size, uint32_t value);
    void *dev;
};

struct vpciconf {
    uint32_t address;
    bus_handler reset; /* of port 0xcf9; NULL if nothing is there */
    void *reset_dev;
    const struct vpci_function *functions[VPCI_FUNCTIONS]; /* by devfn */
};

void vpciconf_init(struct vpciconf *conf, bus_handler reset, void *reset_dev);
void vpciconf_reset(struct vpciconf *conf);
/* Eight ports at 0xcf8. */
enum bus_result vpciconf_ports(void *conf, struct bus_access *access);
/* Memory of 1 MiB a bus. */
enum bus_result vpciconf_ecam(void *conf, struct bus_access *access);
/* Puts a function at devfn, which must be free; it stays the caller's. */
void vpciconf_add(struct vpciconf *conf, uint32_t devfn, const struct vpci_function *function);
/* One access to a function by its number; size 1, 2 or 4, aligned. */
uint32_t vpciconf_read(const struct vpciconf *conf, uint32_t bus, uint32_t devfn, uint32_t offset,
                       uint32_t size);
void vpciconf_write(struct vpciconf *conf, uint32_t bus, uint32_t devfn, uint32_t offset, uint32_t size,
                    uint32_t value);
