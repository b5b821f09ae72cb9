/*
 * One register in a save area of FXSAVE or XSAVE, the standard format (SDM volume 1, 10.5.1 and 13.4). Pure: the area is memory,
 * and where the upper halves of the YMM registers and what lies beyond them are in it comes from CPUID leaf 0DH.
 */
#pragma once

#include "core/lib/types.h"

struct fpu_layout {
    bool xsave;     /* the area has an XSAVE header */
    uint32_t upper; /* of the upper halves of YMM0-15; 0: not there */
    uint32_t zmm;   /* of the upper halves of ZMM0-15; 0: not there */
};

#define FPU_AREA_FCW    0 /* SDM volume 1, table "Format of an FXSAVE Area" */
#define FPU_AREA_FSW    2
#define FPU_AREA_FTW    4
#define FPU_AREA_MXCSR  24
#define FPU_AREA_ST     32
#define FPU_AREA_XMM    160
#define FPU_AREA_HEADER 512
/* What FNINIT and XRSTOR's initial state have; RESET's own 0x0040 no software relies on. */
#define FPU_FCW_RESET   0x037f
#define FPU_MXCSR_RESET 0x1f80

/* YMM: four words, of which the upper two are 0 where there is no AVX. */
void fpu_area_get_ymm(const void *area, const struct fpu_layout *layout, uint32_t reg, uint64_t value[4]);
/* The low half; with `whole` the upper one too, and beyond it becomes 0. */
void fpu_area_set_ymm(void *area, const struct fpu_layout *layout, uint32_t reg, const uint64_t value[4],
                      bool whole);
/* MM0-7. As each MMX instruction does, these make the x87 stack's top 0 and all of its registers valid. */
uint64_t fpu_area_get_mmx(void *area, const struct fpu_layout *layout, uint32_t reg);
void fpu_area_set_mmx(void *area, const struct fpu_layout *layout, uint32_t reg, uint64_t value);
