/* The boot information of Multiboot 2 (specification 3.6): which tags there are, and writing them. Pure. */
#pragma once

#include "guests/loader.h"

/* Whether a kernel may ask for this tag and will get it. */
bool multiboot2_info_has(uint32_t tag);
/* Writes all tags, modules included; `base` is where a relocatable kernel begins, or UINT32_MAX for no such tag. */
int multiboot2_info_write(struct loader *l, uint32_t base, gpa_t *at) MUST_CHECK;
