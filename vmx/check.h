/*
 * The checks that VM entry makes on a VMCS (SDM volume 3, 27.2 and 27.3), in the manual's order, for fields behind a reader.
 * The CPU says only that one failed; this says which. Pure.
 */
#pragma once

#include "core/lib/types.h"
#include "vmx/controls.h"

struct check {
    uint64_t (*read)(void *ctx, uint32_t field); /* 0 for a field that the CPU hasn't got */
    void (*report)(void *ctx, const char *rule); /* called with each rule that is broken */
    void *ctx;
    const struct vmx_capability *capability;
    uint32_t broken;
};

/* Goes through all rules; returns how many are broken. Not checked: contents of memory that the VMCS points to. */
uint32_t check_entry(struct check *c);
