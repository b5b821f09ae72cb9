/* The CPU's own features, those of VMX and SVM aside: finding them, and turning on what the machine's record allows. */
#pragma once

#include "core/x86/caps.h"

/* What the calling core has. Returns ERR_NOTSUP, and a sentence in *why, if it lacks something that Keel can't do without. */
int features_probe(struct caps *found, const char **why) MUST_CHECK;
/* Is this a virtual machine, or an emulator that tells? */
bool features_virtual(void);
/* Sets the calling core's CR0, CR4, EFER and PAT as the hypervisor wants them; after caps_settle(). */
void features_enable(void);
