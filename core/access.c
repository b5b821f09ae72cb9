#include "core/access.h"

#include "core/vm.h"

static enum bus_result access_bus(struct vcpu *vcpu, struct bus *bus, struct bus_access *access)
{
    const struct bus_range *range = bus_find(bus, access);

    if (range && !range->timeless)
        access->now = vm_now(vcpu->vm);
    access->cpu = vcpu->index;
    return bus_call(range, access);
}

/* Ports and MMIO reach shared devices: one vCPU at a time. The LAPIC page never does, and takes no lock (DESIGN 3). */
static void access_device(struct vcpu *vcpu, struct bus *bus, struct bus_access *access)
{
    lock_take(&vcpu->vm->devices);
    access_bus(vcpu, bus, access);
    lock_drop(&vcpu->vm->devices);
}

/* Few of the LAPIC's registers have to do with time. */
static uint64_t access_apic_now(const struct vcpu *vcpu, uint64_t reg)
{
    return UNLIKELY(reg >= 64 || vcpu->apic_timed >> reg & 1) ? vm_now(vcpu->vm) : 0;
}

void access_mmio(struct vcpu *vcpu, gpa_t gpa, uint32_t size, bool write, uint64_t *value)
{
    struct bus_access access = {.addr = gpa, .size = size, .write = write, .value = *value};

    if (gpa - vcpu->apic_page < PAGE_SIZE) {
        access.addr = gpa - vcpu->apic_page;
        access.now = access_apic_now(vcpu, access.addr >> 4);
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

bool access_x2apic(struct vcpu *vcpu, uint32_t reg, bool write, uint64_t *value)
{
    struct bus_access access = {.addr = reg,
                                .value = *value,
                                .now = access_apic_now(vcpu, reg),
                                .size = 8,
                                .cpu = vcpu->index,
                                .write = write};
    enum bus_result result = vcpu->apic_msr(vcpu->apic_ctx, &access);

    *value = access.value;
    return result == BUS_OK;
}

bool access_msr(struct vcpu *vcpu, uint32_t msr, bool write, uint64_t *value, bool *claimed)
{
    struct bus_access access = {.addr = msr, .size = 8, .write = write, .value = *value};
    enum bus_result result = access_bus(vcpu, &vcpu->vm->msr, &access);

    *claimed = result != BUS_UNCLAIMED;
    *value = access.value;
    return result == BUS_OK;
}
