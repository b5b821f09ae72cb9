/* The consistency checks that VMRUN makes on a VMCB (APM volume 2, 15.5.1), by name. Pure. */
#pragma once

#include "svm/limits.h"
#include "svm/vmcb.h"

/* Called for each broken rule; `what` says what is wrong, in words. */
typedef void (*check_report)(void *ctx, const char *what);

/* Goes through all the rules; returns how many are broken. `report` may be NULL. */
uint32_t check_vmcb(const struct vmcb *vmcb, const struct svm_limits *limits, check_report report, void *ctx);
/* The first rule that is broken, or a sentence that says that none is. */
const char *check_first(const struct vmcb *vmcb, const struct svm_limits *limits);
/*
 * QEMU's TCG loads a code segment with both L and D, which CPUs refuse with #GP (APM volume 2, 4.8.1), and its VMRUN refuses it then.
 * The loading is over: the guest goes on in 64-bit mode. True if that was it.
 */
bool check_mend_code(struct vmcb *vmcb);
