#include "svm/cr8.h"

#define CR8 BIT(8)

void cr8_intercept(struct svm_vcpu *s)
{
    struct vmcb *vmcb = s->vmcb;
    bool reads = !(s->vcpu->attention & ATTENTION_CR8);
    bool writes = reads || s->cr8 != 0 || s->irq_window;
    uint16_t read_bits = (uint16_t)((vmcb->intercept_cr_read & ~CR8) | (reads ? CR8 : 0));
    uint16_t write_bits = (uint16_t)((vmcb->intercept_cr_write & ~CR8) | (writes ? CR8 : 0));

    if (read_bits == vmcb->intercept_cr_read && write_bits == vmcb->intercept_cr_write)
        return;
    vmcb->intercept_cr_read = read_bits;
    vmcb->intercept_cr_write = write_bits;
    vmcb_dirty(s, CLEAN_I);
}

void cr8_use(struct svm_vcpu *s)
{
    attention_set(s, ATTENTION_CR8);
}

void cr8_load(struct vcpu *vcpu, struct svm_vcpu *s)
{
    struct vmcb *vmcb = s->vmcb;

    s->cr8 = vcpu->irqchip->get_cr8(vcpu->irqchip_ctx);
    if ((vmcb->int_control & INT_V_TPR_MASK) != s->cr8) {
        vmcb->int_control = (vmcb->int_control & ~INT_V_TPR_MASK) | s->cr8;
        vmcb_dirty(s, CLEAN_TPR);
    }
    cr8_intercept(s);
}

void cr8_store(struct vcpu *vcpu, struct svm_vcpu *s)
{
    uint8_t now = s->vmcb->int_control & INT_V_TPR_MASK;

    if (now != s->cr8)
        vcpu->irqchip->set_cr8(vcpu->irqchip_ctx, now);
}
