/*
 * The two cascaded 8259A of a PC (Intel 8259A data sheet) with the ELCR of later chipsets, which replaces ICW1's LTIM.
 *
 * An edge stays latched until it is taken, even if its line has fallen again: a short pulse isn't lost on a vCPU that
 * doesn't run just then. The slave's output is a level for the master. A default interrupt (IRQ 7 or 15) is what
 * vpic_peek finds if the request has just been withdrawn; one that goes between peek and accept is taken all the same.
 * Linux finds a PIC by writing and reading back the master's mask.
 */
#pragma once

#include "core/bus.h"
#include "core/irq.h"

struct vpic_chip {
    uint8_t lines;   /* levels of the inputs */
    uint8_t edges;   /* latched edges of inputs that aren't level-triggered */
    uint8_t elcr;    /* 1: level-triggered */
    uint8_t cascade; /* the input that a slave drives: BIT(2) in the master, 0 in the slave */
    uint8_t imr, isr;
    uint8_t base;  /* vector of input 0 */
    uint8_t first; /* the input of the highest priority: rotation moves it */
    uint8_t icw;   /* the next initialisation word expected, 0 when initialised */
    bool single, wants_icw4;
    bool auto_eoi, rotate_auto_eoi, special_mask, nested;
    bool poll, read_isr; /* what the next read of the even port gives */
};

struct vpic {
    struct vpic_chip chips[2]; /* master, slave */
    struct irq_pin out;        /* the master's INT, for LINT0 */
    bool level;                /* of out */
};

/* Power-on state: everything masked, until ICW1. */
void vpic_init(struct vpic *pic, const struct irq_pin *out);
void vpic_reset(struct vpic *pic);
/* The lines that firmware makes level-triggered, for a system that is started without one. */
void vpic_set_elcr(struct vpic *pic, uint16_t lines);
/* Handlers of the ports 0x20-0x21, 0xa0-0xa1, and 0x4d0-0x4d1; `pic` is the struct for all three. */
enum bus_result vpic_master_ports(void *pic, struct bus_access *access);
enum bus_result vpic_slave_ports(void *pic, struct bus_access *access);
enum bus_result vpic_elcr_ports(void *pic, struct bus_access *access);
/* An irq_set: lines 0-15, of which 2 is not an input. */
void vpic_set_line(void *pic, uint32_t line, bool level);

/* The level of INT; may be asked from any core without a lock. */
static inline bool vpic_asserted(const struct vpic *pic)
{
    return __atomic_load_n(&pic->level, __ATOMIC_RELAXED);
}
/* The vector that INTA would give now, -1 if INT is low; changes nothing. */
int vpic_peek(const struct vpic *pic);
/* INTA for a vector that vpic_peek gave before: a default interrupt leaves no mark in ISR. */
void vpic_accept(struct vpic *pic, int vector);
