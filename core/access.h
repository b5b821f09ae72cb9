/* One access of a vCPU to its VM's buses, with the VM's time and the device lock. */
#pragma once

#include "core/vm.h"

/*
 * bus_dispatch for a range that was found, with the time read only for those who ask for it; *access is filled in. What of a
 * read's value is beyond its size is left in. The access comes in parts, so that of what is known where this is inlined nothing
 * is computed.
 */
static ALWAYS_INLINE enum bus_result access_range(struct vcpu *vcpu, const struct bus_range *range,
                                                  uint64_t addr, uint32_t size, bool write, uint64_t value,
                                                  struct bus_access *access)
{
    uint64_t offset = addr - range->base;
    enum bus_result result;

    access->addr = offset;
    access->value = value;
    access->size = size;
    access->write = write;
    access->now = LIKELY(bus_is_timed(range, offset, write)) ? vm_now(vcpu->vm) : 0;
    result = range->handler(range->dev, access);
    if (UNLIKELY(result == BUS_UNCLAIMED) && !write)
        access->value = BUS_NOTHING;
    return result;
}

/* Ports and MMIO reach shared devices: one vCPU at a time. The LAPIC page never does, and takes no lock (DESIGN 3). */
static ALWAYS_INLINE void access_device(struct vcpu *vcpu, struct bus *bus, uint64_t addr, uint32_t size,
                                        bool write, uint64_t value, struct bus_access *access)
{
    const struct bus_range *range;

    lock_take(&vcpu->vm->devices);
    range = bus_find(bus, addr, size);
    if (LIKELY(range))
        access_range(vcpu, range, addr, size, write, value, access);
    else
        access->value = BUS_NOTHING;
    lock_drop(&vcpu->vm->devices);
}

/* *value is the data of a write, or receives that of a read, of which what is beyond its size means nothing. */
void access_mmio(struct vcpu *vcpu, gpa_t gpa, uint32_t size, bool write, uint64_t *value);
/* The time for an access to a register of the vCPU's LAPIC: few have to do with it, and none behind the first 64. */
static inline uint64_t access_lapic_now(const struct vcpu *vcpu, uint64_t reg)
{
    return UNLIKELY(vcpu->apic_timed >> reg % 64 & 1) ? vm_now(vcpu->vm) : 0;
}

/* A register of the vCPU's LAPIC in x2APIC mode; false: #GP(0). */
static ALWAYS_INLINE bool access_x2apic(struct vcpu *vcpu, uint32_t reg, bool write, uint64_t *value)
{
    struct bus_access access;
    enum bus_result result;

    access.addr = reg;
    access.value = *value;
    access.size = 8;
    access.write = write;
    access.now = access_lapic_now(vcpu, reg);
    result = vcpu->apic_msr(vcpu->apic_ctx, &access);
    if (!write)
        *value = access.value;
    return LIKELY(result == BUS_OK);
}
/* False: the access takes #GP(0), or nothing is there (then *claimed is false). */
bool access_msr(struct vcpu *vcpu, uint32_t msr, bool write, uint64_t *value, bool *claimed);
