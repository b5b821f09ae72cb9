/* What an AMD processor can do for Keel, told from its CPUID and VM_CR (APM volume 2, 15.4 and 15.30). Pure. */
#pragma once

#include "core/lib/types.h"
#include "svm/limits.h"

/* Whether VM_CR is there to be read. */
bool probe_has_svm(const struct svm_cpuid *id);
/* Why it can't run Keel, as a sentence; NULL if it can. */
const char *probe_unfit(const struct svm_cpuid *id, uint64_t vm_cr);
/* The capabilities that are this vendor's to tell, as bits of struct caps. */
uint64_t probe_caps(const struct svm_cpuid *id);
