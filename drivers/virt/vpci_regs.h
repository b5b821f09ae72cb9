/* The configuration header of a PCI function (PCI 3.0, 6.1 and 6.2) and the capabilities that ours have. */
#pragma once

#include "core/lib/types.h"

#define PCI_VENDOR           0x00
#define PCI_DEVICE           0x02
#define PCI_COMMAND          0x04
#define PCI_STATUS           0x06
#define PCI_REVISION         0x08
#define PCI_PROG_IF          0x09
#define PCI_CLASS            0x0a /* subclass, class */
#define PCI_CACHE_LINE       0x0c
#define PCI_LATENCY          0x0d
#define PCI_HEADER_TYPE      0x0e
#define PCI_BAR(n)           (0x10 + 4 * (n))
#define PCI_BARS             6
#define PCI_SUBSYSTEM_VENDOR 0x2c
#define PCI_SUBSYSTEM        0x2e
#define PCI_CAPABILITIES     0x34
#define PCI_INTERRUPT_LINE   0x3c
#define PCI_INTERRUPT_PIN    0x3d
#define PCI_FIRST_CAPABILITY 0x40
#define PCI_CONFIG_SIZE      0x100

#define PCI_COMMAND_IO       0x0001
#define PCI_COMMAND_MEMORY   0x0002
#define PCI_COMMAND_MASTER   0x0004
#define PCI_COMMAND_PARITY   0x0040
#define PCI_COMMAND_SERR     0x0100
#define PCI_COMMAND_INTX_OFF 0x0400

#define PCI_STATUS_INTX         0x0008
#define PCI_STATUS_CAPABILITIES 0x0010

#define PCI_BAR_IO       0x1
#define PCI_BAR_64       0x4
#define PCI_BAR_PREFETCH 0x8

/* Every capability begins with its id and the offset of the next one. */
#define PCI_CAP_MSI    0x05
#define PCI_CAP_VENDOR 0x09
#define PCI_CAP_MSIX   0x11
#define PCI_CAP_AF     0x13

/* Advanced Features (PCI ECN of 2006): function level reset for conventional functions. */
#define PCI_AF_LENGTH      6
#define PCI_AF_CAPS        3
#define PCI_AF_CONTROL     4
#define PCI_AF_CAPS_TP_FLR 0x03
#define PCI_AF_FLR         0x01
