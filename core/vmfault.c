#include "core/vmfault.h"

#include "core/lib/error.h"
#include "core/vcpu_ops.h"
#include "core/x86/asm.h"
#include "core/x86/cr.h"
#include "core/x86/percpu.h"
#include "core/x86/traps.h"
#include "mm/layout.h"

/* An instruction that runs again has met its breakpoint already. */
bool vmfault_touch(struct vcpu *vcpu, const struct exit_memory *access)
{
    if (vmballoon_touch(vcpu->vm, access->gpa) == ERR_NOTFOUND)
        return false;
    if (!access->event)
        vcpu_set(vcpu, REG_RFLAGS, vcpu_get(vcpu, REG_RFLAGS) | RFLAGS_RF);
    return true;
}

/* Whose window the core has; NULL: nobody's. */
static struct vm *window_vm(void)
{
    uint32_t id = (uint32_t)frame_owner(read_cr3() & ~PAGE_MASK) - OWNER_VM;

    return id < VM_MAX ? vms[id] : NULL;
}

/* An access can't wait in the middle of a device's work. */
static void window_lose(struct vm *vm, gpa_t gpa)
{
    const struct vcpu *vcpu = this_cpu()->vcpu;

    vmballoon_lose(vm, gpa);
    vm_crash(vm, vcpu && vcpu->vm == vm ? vcpu->index : 0,
             "a device needs memory that the guest gave up, and others have it all");
}

/* A guest's CR2 may be in the register: its own vCPU knows it, and vmmem_open has kept that of another's. */
static void cr2_bring_back(const struct vm *vm, uint64_t kept)
{
    struct vcpu *vcpu = this_cpu()->vcpu;

    if (vcpu && vcpu->vm == vm)
        vcpu_ops->set(vcpu, REG_CR2, vcpu_ops->get(vcpu, REG_CR2));
    else
        write_cr2(kept);
}

static bool window_fault(uint64_t addr)
{
    uint64_t kept = this_cpu()->cr2;
    struct vm *vm = window_vm();
    int err;

    if (!vm || addr < WINDOW_BASE || addr - WINDOW_BASE >= WINDOW_SIZE)
        return false;
    err = vmballoon_touch(vm, addr - WINDOW_BASE);
    if (err == ERR_NOTFOUND)
        return false;
    if (err)
        window_lose(vm, addr - WINDOW_BASE);
    cr2_bring_back(vm, kept);
    return true;
}

void vmfault_init(void)
{
    traps_set_missing(window_fault);
}
