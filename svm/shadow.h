/*
 * Interrupt shadows, for QEMU's TCG. That (7.2 and later) reports the shadow of an STI at an exit, but VMRUN doesn't take it
 * back from the VMCB: a host's interrupt between an STI and its HLT would let the guest's next interrupt in there, and the
 * guest, which has looked for work before the STI, would sleep on what that interrupt has brought. So an instruction in a
 * shadow is stepped over before anything is delivered. On hardware VMRUN loads the shadow (APM volume 2, 15.5.1). Pure.
 */
#pragma once

#include "svm/vcpu.h"

/* Before entry, after all events are prepared. */
void shadow_begin(struct svm_vcpu *s);
/* After an exit and step_finish, which gave `stepped`; vcpu->rip is that of the exit. */
void shadow_end(struct svm_vcpu *s, bool stepped);
