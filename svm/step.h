/*
 * One instruction of the guest's, by RFLAGS.TF, so that control is back right behind it: APM volume 2, 13.1.4. The #DB that
 * ends it is the guest's business only if something else brought it about, too. A guest can tell if its instruction faults or
 * saves RFLAGS: TF is then set in the image. Pure.
 */
#pragma once

#include "svm/vcpu.h"

/* Before entry. `loads_flags`: the instruction replaces RFLAGS with the guest's own, as IRET does. Does nothing during a step. */
void step_begin(struct svm_vcpu *s, bool loads_flags);
/* After every exit of a step. True if the instruction was executed: the exit is the #DB behind it. */
bool step_finish(struct svm_vcpu *s);
/* At a #DB's exit: true if it is nothing but the end of a step of ours. */
bool step_hides(struct svm_vcpu *s);
