/* An interrupt wire from a device model to whatever listens. The board in guests/ connects the ends. */
#pragma once

#include "core/lib/types.h"

/* Sets the level of input `line` of the listener. Levels are idempotent; an edge is a false followed by a true. */
typedef void (*irq_set)(void *listener, uint32_t line, bool level);

struct irq_pin {
    irq_set set; /* NULL: not connected */
    void *listener;
    uint32_t line;
};

static inline void irq_pin_set(const struct irq_pin *pin, bool level)
{
    if (pin->set)
        pin->set(pin->listener, pin->line, level);
}
