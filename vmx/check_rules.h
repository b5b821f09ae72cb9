/* What the groups of rules of check.h share. */
#pragma once

#include "vmx/check.h"

void check_controls(struct check *c);
void check_host(struct check *c);
void check_guest(struct check *c);
void check_guest_segments(struct check *c);

static inline uint64_t check_field(const struct check *c, uint32_t field)
{
    return c->read(c->ctx, field);
}

/* Reports `rule` unless `holds`. */
static inline void check_rule(struct check *c, bool holds, const char *rule)
{
    if (holds)
        return;
    c->broken++;
    c->report(c->ctx, rule);
}

/* True if a implies b. */
static inline bool implies(bool a, bool b)
{
    return !a || b;
}

/* Secondary controls count as 0 when they are off. */
uint32_t check_proc2(const struct check *c);
/* The address of a structure: aligned, and within what the CPU can address. */
bool check_address(const struct check *c, uint64_t address, uint64_t align);
bool check_canonical(const struct check *c, uint64_t address);
bool check_pat(uint64_t pat);
/* A control register against its fixed bits, of which those in `free` may be either (A.7, A.8). */
bool check_fixed(uint64_t value, uint64_t fixed0, uint64_t fixed1, uint64_t free);
