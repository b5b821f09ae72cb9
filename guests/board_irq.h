/* How interrupts go over the board: from lines to the PIC and the IOAPIC, from there and from PCI functions to LAPICs. */
#pragma once

#include "core/irq.h"
#include "drivers/virt/apic.h"

struct board;
struct board_cpu;

/* An irq_set, and a pin: an ISA line reaches the PIC and the IOAPIC. */
void board_set_irq(void *board, uint32_t line, bool level);
struct irq_pin board_pin(struct board *board, uint32_t line);
/* An irq_set: INTA of the PCI function in that slot. */
void board_set_intx(void *board, uint32_t slot, bool level);
/* A PCI function writes a dword to memory. */
void board_send_msi(void *board, uint64_t address, uint32_t data);
/* A message to that vCPU. */
void board_deliver(struct board_cpu *cpu, const struct apic_message *m);
/* Its LAPIC's interrupt is taken, with automatic EOI for those that want it. */
void board_accept_ending(struct board_cpu *cpu, uint8_t vector);
/* A message of a LAPIC, or with NULL of something else, to those that it is meant for. */
void board_route(struct board *board, const struct board_cpu *sender, const struct apic_message *m);
