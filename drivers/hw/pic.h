/* The host's two 8259A interrupt controllers: only ever silenced. */
#pragma once

#include "core/lib/types.h"

/*
 * Moves them to vectors [vector, vector + 16), so that a spurious interrupt can't look like an exception, and
 * masks all inputs. Harmless where there are none. A spurious interrupt 7 may still come, at vector + 7.
 */
void pic_disable(uint8_t vector);
