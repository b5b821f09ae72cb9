/*
 * NMI blocking for processors without virtual NMIs. From the injection of an NMI until its IRET has been executed, no
 * second one may be delivered. IRET is intercepted meanwhile; that exit comes before the IRET, so if another NMI waits,
 * the IRET is single-stepped to regain control right behind it. The same step carries a waiting NMI over an interrupt
 * shadow. Pure.
 */
#pragma once

#include "svm/vcpu.h"

void nmi_injected(struct svm_vcpu *s);
/* The delivery of an NMI was interrupted: it isn't blocking yet. */
void nmi_cut_short(struct svm_vcpu *s);
/* The hypervisor has carried out an IRET. */
void nmi_ended(struct vcpu *vcpu, struct svm_vcpu *s);
void nmi_window(struct svm_vcpu *s, bool open);
/* An IRET was intercepted. */
void nmi_iret(struct vcpu *vcpu, struct svm_vcpu *s);

/* Both only with ATTENTION_NMI. Before entry; true: the guest must exit again as soon as its event is injected. */
bool nmi_prepare(struct svm_vcpu *s);
/* After an exit and step_finish, which gave `stepped`; vcpu->rip is that of the exit. */
void nmi_finish(struct svm_vcpu *s, bool stepped);
