/* One access of a vCPU to its VM's buses, with the VM's time and the device lock. */
#pragma once

#include "core/vm.h"

/* *value is the data of a write, or receives that of a read, of which what is beyond its size means nothing. */
void access_mmio(struct vcpu *vcpu, gpa_t gpa, uint32_t size, bool write, uint64_t *value);
uint64_t access_port_read(struct vcpu *vcpu, uint16_t port, uint32_t size);
void access_port_write(struct vcpu *vcpu, uint16_t port, uint32_t size, uint64_t value);
/* The time for an access to a register of the vCPU's LAPIC: few have to do with it. */
static inline uint64_t access_lapic_now(const struct vcpu *vcpu, uint64_t reg)
{
    return UNLIKELY(reg >= 64) || UNLIKELY(vcpu->apic_timed >> reg & 1) ? vm_now(vcpu->vm) : 0;
}

/* A register of the vCPU's LAPIC in x2APIC mode; false: #GP(0). */
static inline bool access_x2apic(struct vcpu *vcpu, uint32_t reg, bool write, uint64_t *value)
{
    struct bus_access access = {.addr = reg, .value = *value, .size = 8, .cpu = vcpu->index, .write = write};
    enum bus_result result;

    access.now = access_lapic_now(vcpu, reg);
    result = vcpu->apic_msr(vcpu->apic_ctx, &access);
    *value = access.value;
    return LIKELY(result == BUS_OK);
}
/* False: the access takes #GP(0), or nothing is there (then *claimed is false). */
bool access_msr(struct vcpu *vcpu, uint32_t msr, bool write, uint64_t *value, bool *claimed);
