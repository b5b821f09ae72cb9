/* The option test=: goes wrong on purpose, so that system tests see how that is told. */
#pragma once

#include "boot/options.h"

/* Does what `test` says; returns only for TEST_UNSET and TEST_NMI, and for TEST_REMOTE on the boot core. */
void fault_run(enum option_test test);
