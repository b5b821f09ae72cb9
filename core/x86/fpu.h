/*
 * The guests' FPU, SSE, AVX ... state. The hypervisor uses none of it, so a vCPU's state stays in the registers from
 * fpu_restore() until fpu_save(), however many exits lie between. Everything that XCR0 can name is saved, whatever the
 * guest's own XCR0 is now: a component that is switched off keeps its contents.
 */
#pragma once

#include "core/lib/types.h"

/* Finds out what there is; once, after caps_settle(). */
void fpu_init(void);
/* Bytes of a save area; it must be 64-byte-aligned. */
size_t fpu_size(void);
/* The state after reset, for the next fpu_restore(). */
void fpu_reset(void *area);
void fpu_save(void *area);
void fpu_restore(const void *area);
/*
 * A register of a guest whose state is in the registers: it goes through the area, which holds nothing of worth meanwhile. Of the
 * four words, XMM has two and MMX one. `whole` as for fpu_area_set_ymm.
 */
void fpu_get_ymm(void *area, uint32_t reg, uint64_t value[4]);
void fpu_set_ymm(void *area, uint32_t reg, const uint64_t value[4], bool whole);
uint64_t fpu_get_mmx(void *area, uint32_t reg);
void fpu_set_mmx(void *area, uint32_t reg, uint64_t value);
