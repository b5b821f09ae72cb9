/*
 * The PVH boot protocol (Xen: docs/misc/pvh.pandoc and public/arch-x86/hvm/start_info.h): ELF files whose note
 * XEN_ELFNOTE_PHYS32_ENTRY names a 32-bit entry point, such as Linux' vmlinux. Pure.
 */
#pragma once

#include "guests/loader.h"

bool pvh_probe(const void *file, uint64_t len);
int pvh_load(struct loader *l, struct guest_entry *entry) MUST_CHECK;
