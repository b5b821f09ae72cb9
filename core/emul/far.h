/* Transfers to another code segment. */
#pragma once

#include "core/emul/segment.h"

/* Where one leads to. */
struct far {
    uint16_t selector;
    uint64_t rip;
    struct vcpu_segment cs;
};

/* Is RIP in the code segment that has been loaded? */
int far_check(const struct emul *e, const struct far *to);
/* Loads the code segment at the current level. ERR_NOTSUP: it is a gate or a task. */
int far_load(const struct emul *e, struct far *to);
int far_go(const struct emul *e, const struct far *to);
