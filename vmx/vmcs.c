/* VMCS regions: which is current on a core, and which are active (SDM volume 3, 25.1). */
#include "vmx/vmcs.h"

#include "core/lib/panic.h"
#include "mm/frame.h"
#include "mm/layout.h"
#include "vmx/names.h"
#include "vmx/vmx.h"

void vmcs_access_failed(uint64_t field)
{
    uint64_t error = 0;

    if (!vmread_try(VMCS_INSN_ERROR, &error))
        panic("access to VMCS field 0x%llx: no VMCS is current", (unsigned long long)field);
    panic("access to VMCS field 0x%llx: %s", (unsigned long long)field, insn_error_name((uint32_t)error));
}

void *vmcs_alloc(uint16_t owner)
{
    uint32_t *region = frame_alloc(1, owner);

    if (region)
        region[0] = BASIC_REVISION(vmx.capability.basic);
    return region;
}

/* Afterwards all of it is in memory, and it may become current on any core. */
void vmcs_clear(struct vmx_vcpu *v)
{
    bool done = vmclear_try(pool_hpa(v->vmcs));

    assert(done);
    v->launched = false;
}

void vmcs_load(struct vmx_vcpu *v)
{
    bool done = vmptrld_try(pool_hpa(v->vmcs));

    assert(done);
}

void vmcs_borrow_slow(struct vmx_vcpu *v)
{
    assert(!v->cpu);
    vmcs_load(v);
}

void vmcs_return_slow(struct vmx_vcpu *v)
{
    struct vcpu *loaded = this_cpu()->vcpu;

    vmcs_clear(v);
    if (loaded)
        vmcs_load(vmx_vcpu(loaded));
}
