/* Exits that end a VM. */
#include "core/exit.h"
#include "core/vm.h"

void exit_failed(struct vcpu *vcpu, const char *why)
{
    vm_crash(vcpu->vm, vcpu->index, why);
    vcpu_look(vcpu); /* even if another stops the VM just now, and its kick is still to come */
}

void exit_triple_fault(struct vcpu *vcpu)
{
    exit_failed(vcpu, "triple fault");
}

void exit_init(struct vcpu *vcpu)
{
    exit_failed(vcpu, "an INIT or SIPI signal reached the guest");
}
