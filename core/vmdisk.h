/* Memory behind a VM's disks: mapped beside its window, in its own host page table alone, and never for the guest. */
#pragma once

#include "core/vm.h"

/* A boot module, which image_declare has to allow. NULL without pool memory, or if it may not be mapped. */
void *vmdisk_image(struct vm *vm, hpa_t base, uint64_t len, bool writable) MUST_CHECK;
/* Maps whole pages; returns where they are, or 0. */
uint64_t vmdisk_map(struct vm *vm, hpa_t base, uint64_t len, bool writable) MUST_CHECK;
/* Guest memory that becomes the VM's, zeroed and in one piece; NULL if there isn't so much. Goes with the VM's memory. */
void *vmdisk_memory(struct vm *vm, uint64_t len) MUST_CHECK;
