/* Kernels with a Multiboot 2 header (Multiboot2 Specification 2.0): ELF files, relocatable or not, and images with an address tag. Pure. */
#pragma once

#include "guests/loader.h"

bool multiboot2_probe(const void *file, uint64_t len);
int multiboot2_load(struct loader *l, struct guest_entry *entry) MUST_CHECK;
