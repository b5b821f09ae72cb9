/*
 * What this CPU's VMX can do, and which control bits Keel runs guests with. Both come from the capability MSRs (SDM
 * appendix A), which are read once into a plain struct: the rest is pure.
 */
#pragma once

#include "core/lib/types.h"
#include "core/x86/caps.h"

/* VMX_BASIC (A.1). */
#define BASIC_REVISION(b)    ((uint32_t)((b)&MASK(31)))
#define BASIC_SIZE(b)        ((uint32_t)((b) >> 32 & MASK(13)))
#define BASIC_MEMORY_TYPE(b) ((uint32_t)((b) >> 50 & 15))
#define BASIC_ADDRESS_32BIT  BIT(48)
#define BASIC_IO_INFO        BIT(54) /* INS and OUTS report segment and address size */
#define BASIC_TRUE_CONTROLS  BIT(55)
#define BASIC_ANY_ERROR_CODE BIT(56)
/*
 * The revision of Bochs 3.0, which no CPU has. It delivers a virtual interrupt though the guest's IF is 0 if a host interrupt
 * comes at that moment, which a kernel doesn't survive. A Bochs in which that is mended says so by another revision. Either panics
 * when it is to enter a guest with CR4.LA57 from a host without.
 */
#define BASIC_REVISION_BOCHS  0x2b
#define BASIC_REVISION_MENDED 0x2c
/* VMX_MISC (A.6). */
#define MISC_TIMER_SHIFT(m)  ((uint32_t)((m)&31))
#define MISC_ACTIVITY(m)     ((uint32_t)((m) >> 6 & 7))
#define MISC_MSR_LIST_MAX(m) (512 * ((uint32_t)((m) >> 25 & 7) + 1))
#define MISC_INSN_LEN_0      BIT(30)
/* VMX_EPT_VPID_CAP (A.10). */
#define EPT_CAP_WALK4          BIT(6)
#define EPT_CAP_WB             BIT(14)
#define EPT_CAP_2M             BIT(16)
#define EPT_CAP_1G             BIT(17)
#define EPT_CAP_INVEPT         BIT(20)
#define EPT_CAP_AD             BIT(21)
#define EPT_CAP_INVEPT_SINGLE  BIT(25)
#define EPT_CAP_INVEPT_ALL     BIT(26)
#define EPT_CAP_INVVPID        BIT(32)
#define EPT_CAP_INVVPID_SINGLE BIT(41)
#define EPT_CAP_INVVPID_ALL    BIT(42)

/* Instructions that a guest has only if the CPU has both them and the control bit that lets them through. */
#define VMX_INSN_CAPS (BIT(CAP_RDTSCP) | BIT(CAP_INVPCID) | BIT(CAP_XSAVES))

struct vmx_capability {
    bool vmx;                 /* CPUID has VMX; without it, nothing below is valid */
    struct caps insns;        /* of VMX_INSN_CAPS, those that CPUID shows */
    uint64_t feature_control; /* IA32_FEATURE_CONTROL */
    uint64_t basic, misc, ept_vpid;
    /* The five control MSRs, the TRUE ones where there are: bits that must be 1 low, bits that may be 1 high. */
    uint64_t pin, proc, proc2, exit, entry;
    uint64_t cr0_fixed0, cr0_fixed1, cr4_fixed0, cr4_fixed1;
    uint32_t physical_bits, linear_bits;
};

struct vmx_controls {
    uint32_t pin, proc, proc2, exit, entry;
};

/* The part of a control MSR that says which bits may be 1. */
static inline bool control_allowed(uint64_t msr, uint64_t bit)
{
    return msr >> 32 & bit;
}

/* True if a control field's value obeys its MSR (A.2 onwards). */
static inline bool control_valid(uint64_t msr, uint32_t value)
{
    return (value & (uint32_t)msr) == (uint32_t)msr && (value & ~(uint32_t)(msr >> 32)) == 0;
}

/* Can Keel run on such a CPU? 0 and its capabilities, or ERR_NOTSUP and a sentence that says what is missing. */
int controls_probe(const struct vmx_capability *c, struct caps *found, const char **why);
/* The control fields of a vCPU at rest: no window open, guest not in IA-32e mode. */
int controls_fold(const struct vmx_capability *c, struct caps use, struct vmx_controls *out,
                  const char **why);
