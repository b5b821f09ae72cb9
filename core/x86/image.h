/* The image's own sections, as linker.ld lays them out from IMAGE_BASE (mm/layout.h) onwards. */
#pragma once

#include "core/lib/types.h"

extern const char text_begin[], text_end[];     /* code, .boot excepted */
extern const char rodata_begin[], rodata_end[]; /* both page-aligned */
extern const char image_end[];                  /* page-aligned */
