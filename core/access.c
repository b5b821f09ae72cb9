#include "core/access.h"

#include "core/vm.h"

/* bus_dispatch, with the time read only for those who ask for it. What of a read's value is beyond its size is left in. */
static inline enum bus_result access_bus(struct vcpu *vcpu, struct bus *bus, struct bus_access *access)
{
    const struct bus_range *range = bus_find(bus, access);
    enum bus_result result = BUS_UNCLAIMED;

    access->cpu = vcpu->index;
    if (LIKELY(range)) {
        if (!range->timeless)
            access->now = vm_now(vcpu->vm);
        access->addr -= range->base;
        result = range->handler(range->dev, access);
    }
    if (UNLIKELY(result == BUS_UNCLAIMED))
        bus_unclaimed(access);
    return result;
}

/* Ports and MMIO reach shared devices: one vCPU at a time. The LAPIC page never does, and takes no lock (DESIGN 3). */
static inline void access_device(struct vcpu *vcpu, struct bus *bus, struct bus_access *access)
{
    lock_take(&vcpu->vm->devices);
    access_bus(vcpu, bus, access);
    lock_drop(&vcpu->vm->devices);
}

void access_mmio(struct vcpu *vcpu, gpa_t gpa, uint32_t size, bool write, uint64_t *value)
{
    struct bus_access access = {.addr = gpa, .size = size, .write = write, .value = *value};

    if (gpa - vcpu->apic_page < PAGE_SIZE) {
        access.addr = gpa - vcpu->apic_page;
        access.now = access_lapic_now(vcpu, access.addr >> 4);
        access.cpu = vcpu->index;
        vcpu->apic_mmio(vcpu->apic_ctx, &access);
    } else {
        access_device(vcpu, &vcpu->vm->mmio, &access);
    }
    *value = access.value;
}

uint64_t access_port_read(struct vcpu *vcpu, uint16_t port, uint32_t size)
{
    struct bus_access access = {.addr = port, .size = size};

    access_device(vcpu, &vcpu->vm->pio, &access);
    return access.value;
}

void access_port_write(struct vcpu *vcpu, uint16_t port, uint32_t size, uint64_t value)
{
    struct bus_access access = {.addr = port, .size = size, .write = true, .value = value};

    access_device(vcpu, &vcpu->vm->pio, &access);
}

bool access_msr(struct vcpu *vcpu, uint32_t msr, bool write, uint64_t *value, bool *claimed)
{
    struct bus_access access = {.addr = msr, .size = 8, .write = write, .value = *value};
    enum bus_result result = access_bus(vcpu, &vcpu->vm->msr, &access);

    *claimed = result != BUS_UNCLAIMED;
    *value = access.value;
    return result == BUS_OK;
}
