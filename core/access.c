#include "core/access.h"

#include "core/vm.h"

void access_mmio(struct vcpu *vcpu, gpa_t gpa, uint32_t size, bool write, uint64_t *value)
{
    uint64_t offset = gpa - vcpu->apic_page;

    if (offset < PAGE_SIZE) {
        struct bus_access access = {.addr = offset,
                                    .value = *value,
                                    .now = access_lapic_now(vcpu, offset >> 4),
                                    .size = size,
                                    .write = write};

        vcpu->apic_mmio(vcpu->apic_ctx, &access);
        *value = access.value;
    } else {
        access_device(vcpu, &vcpu->vm->mmio, gpa, size, write, value);
    }
}

bool access_msr(struct vcpu *vcpu, uint32_t msr, bool write, uint64_t *value, bool *claimed)
{
    enum bus_result result = access_range(vcpu, bus_find(&vcpu->vm->msr, msr, 1), msr, 8, write, value);

    *claimed = result != BUS_UNCLAIMED;
    return result == BUS_OK;
}
