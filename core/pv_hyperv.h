/*
 * The part of Hyper-V's interface that guests want most (Hypervisor Top-Level Functional Specification 6.0b, "TLFS"): clocks, the
 * hypercall page, APIC registers as MSRs, the synthetic interrupt controller and its timers.
 */
#pragma once

#include "core/timer.h"

struct vcpu;

#define HV_SINTS  16
#define HV_TIMERS 4

/* Of a VM. */
struct hv_vm {
    uint64_t os_id, hypercall, reference_tsc; /* MSRs */
    uint32_t sequence;                        /* of the reference TSC page */
};

struct hv_timer {
    struct timer timer;
    struct vcpu *vcpu;
    uint64_t config, count; /* MSRs */
    uint64_t due;           /* reference time; of the message that waits, if one does */
    bool waits;             /* its message's slot is not free */
};

/* Of a vCPU. */
struct hv_vcpu {
    uint64_t control, event_page, message_page, sints[HV_SINTS], assist;
    struct hv_timer timers[HV_TIMERS];
};

#define HV_TIME_NS 100 /* a tick of reference time */

bool hv_read_msr(struct vcpu *vcpu, uint32_t msr, uint64_t *value);
bool hv_write_msr(struct vcpu *vcpu, uint32_t msr, uint64_t value);
void hv_reset(struct vcpu *vcpu);
void hv_tsc_adjusted(struct vcpu *vcpu);
/* The result of a hypercall; false: #UD. */
bool hv_call(struct vcpu *vcpu, uint64_t *result);

/* pv_synic.c: its MSRs, from HV_SYNIC_FIRST to HV_SYNIC_LAST. */
#define HV_SYNIC_FIRST 0x40000080
#define HV_SYNIC_LAST  0x400000b7
bool hv_synic_read(struct vcpu *vcpu, uint32_t msr, uint64_t *value);
bool hv_synic_write(struct vcpu *vcpu, uint32_t msr, uint64_t value);
void hv_synic_reset(struct vcpu *vcpu);
/* An interrupt of one of its HV_SINTS sources; any core. */
void hv_synic_signal(struct vcpu *vcpu, uint32_t sint);
/* Does an interrupt of that vector need no EOI? Asked only after irqchip->auto_eoi. */
bool hv_auto_eoi(const struct vcpu *vcpu, uint8_t vector);
