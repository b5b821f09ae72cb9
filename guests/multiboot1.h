/* Kernels with a Multiboot 1 header (Multiboot Specification 0.6.96): ELF files of both classes, and a.out-kludge images. Pure. */
#pragma once

#include "guests/loader.h"

bool multiboot1_probe(const void *file, uint64_t len);
int multiboot1_load(struct loader *l, struct guest_entry *entry) MUST_CHECK;
