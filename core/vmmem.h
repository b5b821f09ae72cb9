/* A VM's memory: guest RAM blocks taken, and mapped in its nested table and its host window, both or neither. */
#pragma once

#include "core/vm.h"

/*
 * Backs [gpa, gpa + len), 2 MiB-aligned, with guest memory, as large pages as can be, mapped only in the window. Returns
 * ERR_NOMEM if guest memory or the pool is used up (what was mapped stays until vmmem_free).
 */
int vmmem_back(struct vm *vm, gpa_t gpa, uint64_t len) MUST_CHECK;
/* Declares part of what is backed as RAM or ROM and lets the guest see it; page-aligned. */
int vmmem_expose(struct vm *vm, gpa_t gpa, uint64_t len, bool writable) MUST_CHECK;
/*
 * Scrubs the next small piece of the memory of a VM that has ended, so that who calls can do other things in between. False
 * if there was nothing left.
 */
bool vmmem_scrub(struct vm *vm);
/* Gives back all of the VM's memory; what isn't scrubbed yet is first. The VM must not run. */
void vmmem_free(struct vm *vm);
/* Makes the VM's window the calling core's, for a while; vmmem_close takes what this returned, and brings back what was there. */
uint64_t vmmem_open(const struct vm *vm) MUST_CHECK;
void vmmem_close(uint64_t before);
