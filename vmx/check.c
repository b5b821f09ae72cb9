#include "vmx/check.h"

#include "vmx/check_rules.h"
#include "vmx/vmcs.h"

uint32_t check_proc2(const struct check *c)
{
    if (!(check_field(c, VMCS_PROC_CONTROLS) & PROC_SECONDARY))
        return 0;
    return (uint32_t)check_field(c, VMCS_PROC2_CONTROLS);
}

bool check_address(const struct check *c, uint64_t address, uint64_t align)
{
    uint32_t bits = c->capability->basic & BASIC_ADDRESS_32BIT ? 32 : c->capability->physical_bits;

    return IS_ALIGNED(address, align) && address >> bits == 0;
}

bool check_canonical(const struct check *c, uint64_t address)
{
    uint32_t shift = 64 - c->capability->linear_bits;

    return (uint64_t)((int64_t)(address << shift) >> shift) == address;
}

bool check_pat(uint64_t pat)
{
    for (uint32_t i = 0; i < 64; i += 8) {
        uint8_t type = (uint8_t)(pat >> i);

        if (type > 7 || type == 2 || type == 3)
            return false;
    }
    return true;
}

bool check_fixed(uint64_t value, uint64_t fixed0, uint64_t fixed1, uint64_t free)
{
    return (~value & fixed0 & ~free) == 0 && (value & ~fixed1 & ~free) == 0;
}

uint32_t check_entry(struct check *c)
{
    c->broken = 0;
    check_controls(c);
    check_host(c);
    check_guest(c);
    check_guest_segments(c);
    return c->broken;
}
