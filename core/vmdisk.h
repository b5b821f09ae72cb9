/* Memory behind a VM's disks: mapped beside its window, in its own host page table alone, and never for the guest. */
#pragma once

#include "core/vm.h"

/* A boot module, which image_declare has to allow. NULL without pool memory, or if it may not be mapped. */
void *vmdisk_image(struct vm *vm, hpa_t base, uint64_t len, bool writable) MUST_CHECK;
/* Maps whole pages; returns where they are, or 0. */
uint64_t vmdisk_map(struct vm *vm, hpa_t base, uint64_t len, bool writable) MUST_CHECK;
/*
 * Guest memory that becomes the VM's, in one piece; NULL if there isn't so much. Goes with the VM's memory. It is blank when
 * vmdisk_clear has no more to do.
 */
void *vmdisk_memory(struct vm *vm, uint64_t len) MUST_CHECK;
/*
 * Clears the next small piece of that, so that who calls can do other things in between; the VM doesn't run yet. False if there
 * was nothing left.
 */
bool vmdisk_clear(struct vm *vm);
