/*
 * The Linux boot protocol (Documentation/arch/x86/boot.rst), from 2.06 on: puts a bzImage, its initrd and command line into
 * guest memory, with the zero page and what the entry point expects. Pure: guest memory is written through gmem.h only.
 */
#pragma once

#include "guests/kernel.h"

/* True if the file looks like a Linux kernel image of any kind; linux_load tells what is wrong with it. */
bool linux_probe(const void *file, uint64_t len);
/*
 * Loads, as kernel_load does: RSI = the zero page. Several initrds become one, each at the next multiple of 4 bytes, as the kernel
 * takes archives that follow each other.
 */
int linux_load(const struct gmem *mem, const struct guest_files *files, const struct e820 *map, gpa_t rsdp,
               struct guest_entry *entry, char *why, size_t why_size);
