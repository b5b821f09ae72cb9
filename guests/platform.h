/*
 * The virtual PC: where everything is (DESIGN 5). The one table: the board, the ACPI tables and the loaders read it.
 */
#pragma once

#include "core/lib/types.h"

/* Guest physical memory. */
#define PC_LOW_RAM_END    0x000a0000ull /* RAM from 0 */
#define PC_EBDA           0x0009fc00ull /* the last KiB of it, which a BIOS would keep for itself */
#define PC_VGA_TEXT       0x000b8000ull
#define PC_VGA_COLUMNS    80
#define PC_VGA_ROWS       25
#define PC_ROM            0x000c0000ull /* read-only for the guest up to 1 MiB: option ROMs, then ACPI tables */
#define PC_ACPI_TABLES    0x000e0000ull
#define PC_ACPI_SIZE      0x0001f000ull
#define PC_RESET_VECTOR   0x000ffff0ull
#define PC_HIGH_RAM       0x00100000ull
#define PC_LOW_MEMORY_MAX (3 * GiB)     /* RAM below 4G ends here at the latest */
#define PC_PCI_WINDOW     0xc0000000ull /* (D) */
#define PC_PCI_WINDOW_END 0xe0000000ull /* (D) */
#define PC_ECAM           0xe0000000ull /* (D) */
#define PC_ECAM_SIZE      0x100000ull   /* one bus: Linux asks all 32 slots of each bus that MCFG names */
#define PC_IOAPIC         0xfec00000ull
#define PC_HPET           0xfed00000ull /* (D) */
#define PC_LAPIC          0xfee00000ull
#define PC_TEST_MMIO      0xff000000ull /* only with debug_exit = yes */
#define PC_MEMORY_ABOVE   (4 * GiB)     /* where the rest of the RAM is */
#define PC_WINDOW_ALIGN   GiB           /* behind that, a multiple of this: a second window for PCI */
#define PC_ADDRESS_END    BIT(46)       /* no device is from here on */

/* Ports. */
#define PC_PORT_PIC_MASTER 0x20
#define PC_PORT_PIC_SLAVE  0xa0
#define PC_PORT_ELCR       0x4d0
#define PC_PORT_PIT        0x40
#define PC_PORT_61         0x61
#define PC_PORT_KBC_DATA   0x60
#define PC_PORT_KBC_CMD    0x64
#define PC_PORT_RTC        0x70
#define PC_PORT_92         0x92
#define PC_PORT_CRTC       0x3d4
#define PC_PORT_COM1       0x3f8
#define PC_PORT_COM2       0x2f8
#define PC_PORT_DEBUG      0x402
#define PC_PORT_DEBUG_E9   0xe9
#define PC_PORT_EXIT       0xf4 /* only with debug_exit = yes */
#define PC_PORT_TEST       0xe0 /* this and what follows likewise */
#define PC_PORT_TEST_LINES 0x2000
#define PC_PORT_TEST_SINTS 0x3000
#define PC_PORT_FWCFG      0x510
#define PC_PORT_PCI        0xcf8
#define PC_PORT_RESET      0xcf9
#define PC_PORT_PM         0x600 /* event block; see drivers/virt/vpm.h for what follows */

/* ISA interrupts: PIC lines, and IOAPIC pins but for the PIT. */
#define PC_IRQ_PIT  0
#define PC_IRQ_KBC  1
#define PC_IRQ_COM2 3
#define PC_IRQ_COM1 4
#define PC_IRQ_RTC  8
#define PC_IRQ_SCI  9
#define PC_GSI_PIT  2

/*
 * Interrupt pins of PCI (D). INTA of slot s is wire (s - 1) % 4; each wire has an IOAPIC pin of its own, and two share a PIC
 * line, the same that SeaBIOS chooses.
 */
#define PC_PCI_WIRES      4
#define PC_PCI_WIRE(slot) (((slot)-1) % PC_PCI_WIRES)
#define PC_PCI_GSI(wire)  (16 + (wire))
#define PC_PCI_IRQ(wire)  (10 + (wire) / 2)
#define PC_PCI_IRQS       0x0c00 /* those, a bit each */

/* Slots of PCI bus 0. */
#define PC_SLOT_BRIDGE 0
#define PC_SLOT_ISA    1 /* only with firmware */
#define PC_SLOT_FIRST  2
#define PC_PCI_PORTS   0xc000 /* where I/O ports of functions begin */
/* Vectors of the PIC's lines and what it masks, as a BIOS leaves them: timer, keyboard, cascade and disks are open. */
#define PC_PIC_MASTER_BASE 0x08
#define PC_PIC_SLAVE_BASE  0x70
#define PC_PIC_MASTER_MASK 0xb8
#define PC_PIC_SLAVE_MASK  0x8e

#define PC_IOAPIC_ID 0
/* SLP_TYP of S5: in the DSDT's \_S5, and what the PM model powers off for. */
#define PC_S5_TYPE     0
#define PC_RESET_VALUE 0x06 /* to PC_PORT_RESET: a full reset */
