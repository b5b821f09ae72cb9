/* The host's interrupt vectors: who handles which. */
#pragma once

#include "core/lib/types.h"
#include "core/x86/vectors.h"

/* Runs with interrupts off; the EOI follows by itself. */
typedef void (*irq_handler)(void *ctx);

/* ERR_RANGE for what can't be registered, ERR_BUSY for what is. The same handler on every core. */
int irq_register(uint32_t vector, irq_handler handler, void *ctx) MUST_CHECK;
/* Registers a handler at a free device vector and returns that, or ERR_NOMEM. */
int irq_alloc(irq_handler handler, void *ctx) MUST_CHECK;

/* Called for each interrupt by trap_handle(). */
void irq_dispatch(uint32_t vector);
