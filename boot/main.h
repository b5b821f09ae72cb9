/* Where boot/entry.asm leads to. */
#pragma once

#include "core/lib/types.h"

/*
 * `mbi`: address of the Multiboot2 information; `image`: where the loader put us; `tsc`: when it handed over. On the boot
 * stack, in the boot tables.
 */
NORETURN void boot_main(uint32_t mbi, uint32_t image, uint64_t tsc);
