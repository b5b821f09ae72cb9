/*
 * Injection by a virtual interrupt (APM volume 2, 15.21.4) in place of EVENTINJ, for QEMU's TCG. That (7.2 and later) keeps
 * the vector of an interrupt that EVENTINJ injected as an exception that is still to be delivered. If the time of QEMU's main
 * loop is up before the guest's next exit or exception, the guest gets the interrupt a second time, whatever its IF says.
 */
#pragma once

#include "svm/vcpu.h"

/*
 * Before VMRUN with ATTENTION_INJECTED: what EVENTINJ has becomes a virtual interrupt, if it can be one. True: it is an
 * interrupt and can't, so that the guest must exit again as soon as it is injected, which makes QEMU forget it.
 */
bool virq_begin(struct svm_vcpu *s);
/* After it. One that an interrupt of the host's forestalled has to be injected anew. */
void virq_end(struct vcpu *vcpu, struct svm_vcpu *s);
