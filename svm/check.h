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
