/* One access of a vCPU to its VM's buses, with the VM's time and the device lock. */
#pragma once

#include "core/vcpu.h"

/* *value is the data of a write, or receives that of a read. */
void access_mmio(struct vcpu *vcpu, gpa_t gpa, uint32_t size, bool write, uint64_t *value);
uint64_t access_port_read(struct vcpu *vcpu, uint16_t port, uint32_t size);
void access_port_write(struct vcpu *vcpu, uint16_t port, uint32_t size, uint64_t value);
/* A register of the vCPU's LAPIC in x2APIC mode; false: #GP(0). */
bool access_x2apic(struct vcpu *vcpu, uint32_t reg, bool write, uint64_t *value);
/* False: the access takes #GP(0), or nothing is there (then *claimed is false). */
bool access_msr(struct vcpu *vcpu, uint32_t msr, bool write, uint64_t *value, bool *claimed);
