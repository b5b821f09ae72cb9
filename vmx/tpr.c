/*
 * The task priority without exits (SDM volume 3, 30.1.1). A guest that never writes CR8, as Linux, has MOV CR8 intercepted
 * and pays nothing at its exits. From its first write on, MOV CR8 works on the virtual-APIC page, and the page and the
 * LAPIC model are compared around each entry. The threshold is the value at entry: any lowering exits, since an interrupt
 * may have waited for that.
 */
#include "core/event.h"
#include "vmx/vmx.h"

#define VIRTUAL_APIC_TPR 0x80

static void tpr_show(struct vmx_vcpu *v, uint8_t cr8)
{
    v->cr8 = cr8;
    v->virtual_apic[VIRTUAL_APIC_TPR] = (uint8_t)(cr8 << 4);
    vmwrite(VMCS_TPR_THRESHOLD, cr8);
}

void tpr_use(struct vcpu *vcpu)
{
    struct vmx_vcpu *v = vmx_vcpu(vcpu);

    if (v->cr8_used || !v->virtual_apic)
        return;
    v->cr8_used = true;
    pending_add(v, PENDING_TPR);
    tpr_show(v, vcpu->irqchip->get_cr8(vcpu->irqchip_ctx));
    proc_control_set(v, PROC_CR8_LOAD | PROC_CR8_STORE, false);
}

void tpr_enter(struct vcpu *vcpu)
{
    struct vmx_vcpu *v = vmx_vcpu(vcpu);
    uint8_t cr8 = vcpu->irqchip->get_cr8(vcpu->irqchip_ctx);

    if (UNLIKELY(cr8 != v->cr8))
        tpr_show(v, cr8);
}

void tpr_leave(struct vcpu *vcpu)
{
    struct vmx_vcpu *v = vmx_vcpu(vcpu);
    uint8_t cr8 = v->virtual_apic[VIRTUAL_APIC_TPR] >> 4;

    if (LIKELY(cr8 == v->cr8))
        return;
    tpr_show(v, cr8);
    vcpu->irqchip->set_cr8(vcpu->irqchip_ctx, cr8);
}
