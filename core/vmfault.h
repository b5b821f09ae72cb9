/* Touches of memory that a VM gave up (core/vmballoon.h). */
#pragma once

#include "core/exit.h"
#include "core/vm.h"

bool vmfault_touch(struct vcpu *vcpu, const struct exit_memory *access);
/* The guest's, by an exit. True: the access is to be tried again. */
static inline bool vmfault_guest(struct vcpu *vcpu, const struct exit_memory *access)
{
    return UNLIKELY(vcpu->vm->balloon != NULL) && vmfault_touch(vcpu, access);
}
/* The hypervisor's own become page faults from here on, which are resolved. */
void vmfault_init(void);
