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
