/* What LAPICs and the IOAPIC say to each other (SDM 11.6.1). */
#pragma once

#include "core/lib/types.h"

#define APIC_BROADCAST 0xffffffffu /* as dest: every LAPIC, in either mode; senders turn 0xff into it */

enum apic_delivery {
    APIC_FIXED = 0,
    APIC_LOWEST = 1,
    APIC_SMI = 2,
    APIC_NMI = 4,
    APIC_INIT = 5,
    APIC_SIPI = 6,
    APIC_EXTINT = 7,
};

enum apic_dest_mode { APIC_PHYSICAL, APIC_LOGICAL };
enum apic_trigger { APIC_EDGE, APIC_LEVEL };
enum apic_shorthand { APIC_TO_DEST, APIC_TO_SELF, APIC_TO_ALL, APIC_TO_OTHERS };

struct apic_message {
    uint32_t dest;     /* meaningless with a shorthand */
    uint8_t dest_mode; /* enum apic_dest_mode */
    uint8_t delivery;  /* enum apic_delivery */
    uint8_t vector;
    uint8_t trigger;   /* enum apic_trigger */
    uint8_t shorthand; /* enum apic_shorthand */
    bool level;        /* asserted; INIT de-assert messages are not passed on */
};
