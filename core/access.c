#include "core/access.h"

#include "core/vm.h"

static NOINLINE void access_mmio_device(struct vcpu *vcpu, gpa_t gpa, uint32_t size, bool write,
                                        uint64_t *value)
{
    struct bus_access access;

    access_device(vcpu, &vcpu->vm->mmio, gpa, size, write, *value, &access);
    *value = access.value;
}

void access_mmio(struct vcpu *vcpu, gpa_t gpa, uint32_t size, bool write, uint64_t *value)
{
    uint64_t offset = gpa - vcpu->apic_page;
    struct bus_access access;

    if (offset >= PAGE_SIZE) {
        access_mmio_device(vcpu, gpa, size, write, value);
        return;
    }
    access.addr = offset;
    access.value = *value;
    access.size = size;
    access.write = write;
    access.now = access_lapic_now(vcpu, offset >> 4);
    vcpu->apic_mmio(vcpu->apic_ctx, &access);
    *value = access.value;
}

bool access_msr(struct vcpu *vcpu, uint32_t msr, bool write, uint64_t *value, bool *claimed)
{
    const struct bus_range *range = bus_find(&vcpu->vm->msr, msr, 1);
    struct bus_access access;
    enum bus_result result = BUS_UNCLAIMED;

    if (range) {
        result = access_range(vcpu, range, msr, 8, write, *value, &access);
        *value = access.value;
    }
    *claimed = result != BUS_UNCLAIMED;
    return result == BUS_OK;
}
