/* The doorbells of each shared memory, by its name: there as soon as the first VM has it, and they stay. */
#pragma once

#include "drivers/virt/vivshmem.h"

#define SHMEMS_MAX 32

/* NULL without pool memory, or if there are too many. */
struct vivshmem_group *shmem_group_get(const char *name);
