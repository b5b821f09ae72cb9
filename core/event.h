/*
 * What a vCPU is told next (DESIGN 3): re-inject what was interrupted, exception, NMI, interrupt; peek, then commit.
 * Pure: the back end and the interrupt controller are behind pointers.
 */
#pragma once

#include "core/lib/types.h"

struct vcpu;

/* The encodings that VM-entry interruption information (SDM 25.8.3) and EVENTINJ (APM 15.20) share. */
enum event_type {
    EVENT_INTERRUPT = 0,
    EVENT_NMI = 2,
    EVENT_EXCEPTION = 3,
    EVENT_SOFT_INT = 4,       /* INT n */
    EVENT_PRIV_EXCEPTION = 5, /* INT1 (VMX only) */
    EVENT_SOFT_EXCEPTION = 6, /* INT3, INTO (VMX; on SVM an exception) */
};

struct event {
    bool valid;
    uint8_t vector;
    uint8_t type; /* enum event_type */
    bool has_error;
    uint32_t error;
    uint8_t insn_len; /* software events: the length of the instruction, else 0 */
};

/*
 * A CPU takes an NMI between any two instructions, and holds one more back while it handles that (SDM 6.7.1). So of those that
 * come while the hypervisor runs, the first has been taken already, as far as the guest can see, and the second waits.
 */
#define NMI_LIMIT 2

struct vcpu_events {
    struct event reinject;  /* its delivery was cut short by the last exit */
    struct event exception; /* raised by the hypervisor for the guest */
    uint8_t nmi_pending;    /* how many wait: up to NMI_LIMIT; from any core, atomically */
    uint8_t windows;        /* BIT(enum event_type) of the windows that are open */
};

/* The interrupt controllers as a vCPU sees them (the board provides it). */
struct irqchip_ops {
    int (*peek)(void *chip); /* the vector that would be taken now, or -1; changes nothing */
    /* It was injected: IRR -> ISR, or the PIC's INTA. True if another one could be taken right behind it. */
    bool (*accept)(void *chip, uint8_t vector);
    /* The task priority as CR8 shows it (0-15). A back end that lets the guest change it without an exit reads the guest's
     * value back after each exit and calls set_cr8 when it differs. */
    uint8_t (*get_cr8)(void *chip);
    void (*set_cr8)(void *chip, uint8_t cr8);
    void (*init)(void *chip); /* the vCPU takes an INIT */
    /* IA32_APIC_BASE (vcpu->apic_base shows it) and IA32_TSC_DEADLINE; a write that is false takes #GP. */
    bool (*set_base)(void *chip, uint64_t base);
    uint64_t (*get_deadline)(void *chip, uint64_t tsc); /* the guest's TSC, here and in the next three */
    void (*set_deadline)(void *chip, uint64_t deadline, uint64_t tsc);
    void (*tsc_moved)(void *chip);    /* by the guest: TSC deadlines are counted by it */
    void (*deadline_due)(void *chip); /* the TSC that vcpu_set_alarm was told has come */
    /* From any core: a fixed interrupt, or an NMI. False: the controller is off and takes none. */
    bool (*receive)(void *chip, uint8_t vector, bool nmi);
    /* Without vcpu->vapic: bit 0 of a byte in guest memory says that EOI can be left out (drivers/virt/vlapic.h); NULL: none. */
    void (*set_eoi_flag)(void *chip, uint8_t *flag);
    /* By its own core. On: an interrupt of a vector that is hv_auto_eoi ends as it is accepted, and no CPU delivers any by itself. */
    void (*auto_eoi)(void *chip, bool on);
    /* Only with vcpu->vapic: the guest wrote a register of the page (MMIO offset); it ended a level-triggered interrupt. */
    void (*written)(void *chip, uint32_t offset);
    void (*ended)(void *chip, uint8_t vector);
};

enum exception_vector {
    EXC_DE = 0,
    EXC_DB = 1,
    EXC_NMI = 2,
    EXC_BP = 3,
    EXC_OF = 4,
    EXC_BR = 5,
    EXC_UD = 6,
    EXC_NM = 7,
    EXC_DF = 8,
    EXC_TS = 10,
    EXC_NP = 11,
    EXC_SS = 12,
    EXC_GP = 13,
    EXC_PF = 14,
    EXC_MF = 16,
    EXC_AC = 17,
    EXC_MC = 18,
    EXC_XM = 19,
    EXC_VE = 20,
    EXC_CP = 21,
};

/*
 * Raises an exception in the guest; pairs with one that is pending or cut short become #DF or a triple fault (SDM 6.15
 * table 6-5). For #PF, the caller has set CR2.
 */
void event_raise(struct vcpu *vcpu, uint8_t vector, bool has_error, uint32_t error);
static inline void event_raise_gp0(struct vcpu *vcpu)
{
    event_raise(vcpu, EXC_GP, true, 0);
}
static inline void event_raise_ud(struct vcpu *vcpu)
{
    event_raise(vcpu, EXC_UD, false, 0);
}
/* An NMI comes; from any core. The vCPU has to be kicked then. */
void event_post_nmi(struct vcpu *vcpu);
/* Does the instruction run again after it? Not so for traps, and #DB is raised here as one only. */
bool event_is_fault(uint8_t vector);
/* What its frame has set in the flags, beside what was set before: RF or nothing. */
uint64_t event_resumes(const struct event *event);
/* The back end's report of an event whose delivery an exit interrupted. */
void event_reinject(struct vcpu *vcpu, const struct event *event);
/* Before an entry: injects at most one event and opens windows for what has to wait. */
void event_deliver(struct vcpu *vcpu);
/* True if event_deliver would have something to do that ends a HLT. */
bool event_wakes(struct vcpu *vcpu);
