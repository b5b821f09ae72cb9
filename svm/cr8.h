/*
 * CR8 without exits: with V_INTR_MASKING the guest's CR8 is V_TPR, which is kept in step with the virtual LAPIC's TPR
 * through irqchip_ops' get_cr8 and set_cr8. A guest that doesn't use CR8 pays nothing: this starts with its first access.
 *
 * Writes exit still in two cases:
 *  - at entry the TPR isn't 0, so that lowering it may let through an interrupt that waits. (From 0 it can only be raised,
 *    and an interrupt that arrives afterwards brings an exit with it, after which the TPR isn't 0 at entry.)
 *  - an interrupt window is open: QEMU's TCG aborts on a write to CR8 while V_IRQ is pending.
 */
#pragma once

#include "svm/vcpu.h"

/* An access to CR8 exited: from now on V_TPR is in step. */
void cr8_use(struct svm_vcpu *s);
/* Sets the intercepts of CR8 as described above. */
void cr8_intercept(struct svm_vcpu *s);
/* Both only with ATTENTION_CR8: before entry, and after an exit. */
void cr8_load(struct vcpu *vcpu, struct svm_vcpu *s);
void cr8_store(struct vcpu *vcpu, struct svm_vcpu *s);
