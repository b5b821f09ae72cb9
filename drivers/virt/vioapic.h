/*
 * The IOAPIC (Intel 82093AA) with 24 pins and version 0x20: that of later chipsets, with an EOI register. Pins carry
 * logical levels (true = asserted), so that the polarity bit is only kept. By custom the PIT is on pin 2, and the MADT
 * has to say so (IRQ 0 -> GSI 2).
 *
 * As the data sheet says, an edge at a masked pin is forgotten; a level is delivered when it is unmasked. Remote IRR
 * is cleared by an EOI of the vector, by the EOI register, and by making the pin edge-triggered (Linux' way with
 * older versions).
 */
#pragma once

#include "core/bus.h"
#include "drivers/virt/apic.h"

#define VIOAPIC_PINS 24

struct vioapic_config {
    void (*send)(void *ctx, const struct apic_message *message);
    void *ctx;
};

struct vioapic {
    struct vioapic_config config;
    uint64_t redirection[VIOAPIC_PINS];
    uint32_t lines; /* levels of the pins */
    uint8_t select; /* IOREGSEL */
    uint8_t id;
};

void vioapic_init(struct vioapic *ioapic, const struct vioapic_config *config);
void vioapic_reset(struct vioapic *ioapic);
/* One 4K page. */
enum bus_result vioapic_mmio(void *ioapic, struct bus_access *access);
/* An irq_set. */
void vioapic_set_pin(void *ioapic, uint32_t pin, bool level);
/* A LAPIC ended a level-triggered interrupt: pins whose line is still high deliver again. */
void vioapic_eoi(struct vioapic *ioapic, uint8_t vector);
