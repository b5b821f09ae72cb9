/*
 * The test device of public suites for virtual machines (pc-testdev of QEMU): ports and MMIO that behave like memory, a port for
 * each interrupt line, and one that has the host drop a page of the guest, which here has nothing to drop. Beside it, of
 * hyperv-testdev, what signals a source of a vCPU's synthetic interrupt controller.
 */
#pragma once

#include "core/bus.h"
#include "core/irq.h"

#define VTESTDEV_BYTES     4 /* ports like memory */
#define VTESTDEV_FLUSH     4 /* the port behind them: 4 bytes wide, a page's address is written to it */
#define VTESTDEV_PORTS     8
#define VTESTDEV_LINES     24
#define VTESTDEV_SINTS     4 /* one port of 4 bytes: source, vCPU, command; connections aren't there */
#define VTESTDEV_MMIO_SIZE 0x10000

struct vtestdev {
    irq_set set; /* of all lines */
    void (*signal)(void *listener, uint32_t vcpu, uint32_t source);
    void *listener;
    uint8_t bytes[VTESTDEV_BYTES];
    uint8_t *mmio; /* VTESTDEV_MMIO_SIZE bytes */
};

void vtestdev_init(struct vtestdev *dev, irq_set set, void (*signal)(void *, uint32_t, uint32_t),
                   void *listener, void *mmio);
void vtestdev_reset(struct vtestdev *dev);
/* VTESTDEV_PORTS ports; VTESTDEV_LINES ports, of which each sets the line of its number to what is written; sources; the MMIO. */
enum bus_result vtestdev_ports(void *dev, struct bus_access *access);
enum bus_result vtestdev_lines(void *dev, struct bus_access *access);
enum bus_result vtestdev_sints(void *dev, struct bus_access *access);
enum bus_result vtestdev_mmio(void *dev, struct bus_access *access);
