/* Words for the numbers that VMX reports. Pure. */
#pragma once

#include "core/lib/types.h"

/* A basic exit reason (SDM appendix C); "unknown exit" for others. */
const char *reason_name(uint32_t reason);
/* A VM-instruction error (SDM 31.4). */
const char *insn_error_name(uint32_t error);

struct field_name {
    uint32_t field;
    const char *name;
};

/* The VMCS fields that a dump shows one by one (segment registers it shows otherwise); the last one's name is NULL. */
extern const struct field_name field_names[];
