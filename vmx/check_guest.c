/* SDM volume 3, 27.3.1 but for segment registers (27.3.1.2, check_segments.c): guest state. */
#include "core/event.h"
#include "core/vcpu.h"
#include "core/x86/cr.h"
#include "core/x86/msr.h"
#include "vmx/check_rules.h"
#include "vmx/vmcs.h"

#define RFLAGS_RESERVED  (~MASK(22) | BIT(15) | BIT(5) | BIT(3))
#define DEBUGCTL_DEFINED 0xffc3ull
#define DEBUGCTL_BTF     BIT(1)
#define PENDING_RESERVED (~MASK(17) | BIT(15) | BIT(13) | 0xff0)
#define PDPTE_RESERVED   0x1e6ull

static bool guest_ia32e(const struct check *c)
{
    return check_field(c, VMCS_ENTRY_CONTROLS) & ENTRY_IA32E;
}

static bool guest_injects(const struct check *c, enum event_type type)
{
    uint64_t info = check_field(c, VMCS_ENTRY_INTR_INFO);

    return info & INTR_VALID && INTR_TYPE(info) == type;
}

/* 27.3.1.1 */
static void check_guest_control(struct check *c)
{
    const struct vmx_capability *cap = c->capability;
    uint64_t cr0 = check_field(c, VMCS_GUEST_CR0), cr4 = check_field(c, VMCS_GUEST_CR4);
    uint64_t free0 = check_proc2(c) & PROC2_UG ? CR0_PE | CR0_PG : 0;

    check_rule(c, check_fixed(cr0, cap->cr0_fixed0, cap->cr0_fixed1, free0 | CR0_CD | CR0_NW),
               "guest CR0: fixed bits");
    check_rule(c, implies(cr0 & CR0_PG, cr0 & CR0_PE), "guest CR0: PG needs PE");
    check_rule(c, check_fixed(cr4, cap->cr4_fixed0, cap->cr4_fixed1, 0), "guest CR4: fixed bits");
    check_rule(c, implies(cr4 & CR4_CET, cr0 & CR0_WP), "guest CR4: CET needs CR0.WP");
    check_rule(c, implies(guest_ia32e(c), cr0 & CR0_PG && cr4 & CR4_PAE),
               "IA-32e mode needs CR0.PG and CR4.PAE");
    check_rule(c, implies(!guest_ia32e(c), !(cr4 & CR4_PCIDE)), "guest CR4: PCIDE needs IA-32e mode");
    check_rule(c, check_field(c, VMCS_GUEST_CR3) >> cap->physical_bits == 0,
               "guest CR3: beyond the physical address width");
}

static void check_guest_msrs(struct check *c)
{
    uint64_t entry = check_field(c, VMCS_ENTRY_CONTROLS), efer = check_field(c, VMCS_GUEST_EFER);
    uint64_t cr0 = check_field(c, VMCS_GUEST_CR0);
    bool load = entry & ENTRY_LOAD_EFER;
    const uint64_t defined = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;

    check_rule(c,
               implies(entry & ENTRY_LOAD_DEBUG, !(check_field(c, VMCS_GUEST_DEBUGCTL) & ~DEBUGCTL_DEFINED)),
               "guest DEBUGCTL: reserved bits");
    check_rule(c, implies(entry & ENTRY_LOAD_DEBUG, check_field(c, VMCS_GUEST_DR7) >> 32 == 0),
               "guest DR7: bits 63:32 are 0");
    check_rule(c, check_canonical(c, check_field(c, VMCS_GUEST_SYSENTER_ESP)),
               "guest SYSENTER_ESP: canonical");
    check_rule(c, check_canonical(c, check_field(c, VMCS_GUEST_SYSENTER_EIP)),
               "guest SYSENTER_EIP: canonical");
    check_rule(c, implies(entry & ENTRY_LOAD_PAT, check_pat(check_field(c, VMCS_GUEST_PAT))),
               "guest PAT: memory types");
    check_rule(c, implies(load, !(efer & ~defined)), "guest EFER: reserved bits");
    check_rule(c, implies(load, !(efer & EFER_LMA) == !guest_ia32e(c)), "guest EFER: LMA is IA-32e mode");
    check_rule(c, implies(load && cr0 & CR0_PG, !(efer & EFER_LMA) == !(efer & EFER_LME)),
               "guest EFER: LMA is LME while paging");
}

/* 27.3.1.3, 27.3.1.4 */
static void check_guest_tables(struct check *c)
{
    check_rule(c, check_canonical(c, check_field(c, VMCS_GUEST_BASE(SEG_GDTR))),
               "guest GDTR base: canonical");
    check_rule(c, check_canonical(c, check_field(c, VMCS_GUEST_BASE(SEG_IDTR))),
               "guest IDTR base: canonical");
    check_rule(c, check_field(c, VMCS_GUEST_LIMIT(SEG_GDTR)) <= 0xffff, "guest GDTR limit: 16 bits");
    check_rule(c, check_field(c, VMCS_GUEST_LIMIT(SEG_IDTR)) <= 0xffff, "guest IDTR limit: 16 bits");
}

static void check_guest_flow(struct check *c)
{
    uint64_t rip = check_field(c, VMCS_GUEST_RIP), rflags = check_field(c, VMCS_GUEST_RFLAGS);
    bool code64 = guest_ia32e(c) && check_field(c, VMCS_GUEST_ACCESS(SEG_CS)) & SEG_ATTR_L;

    check_rule(c, code64 || rip >> 32 == 0, "guest RIP: 32 bits outside of 64-bit code");
    check_rule(c, !code64 || check_canonical(c, rip), "guest RIP: canonical");
    check_rule(c, !(rflags & RFLAGS_RESERVED) && rflags & RFLAGS_FIXED1, "guest RFLAGS: reserved bits");
    check_rule(c, implies(rflags & RFLAGS_VM, !guest_ia32e(c) && check_field(c, VMCS_GUEST_CR0) & CR0_PE),
               "guest RFLAGS: VM neither in IA-32e mode nor in real mode");
    check_rule(c, implies(guest_injects(c, EVENT_INTERRUPT), rflags & RFLAGS_IF),
               "guest RFLAGS: IF when an interrupt is injected");
}

/* 27.3.1.5 */
static bool check_activity_supported(const struct check *c, uint64_t activity)
{
    return activity == 0 || (activity <= 3 && MISC_ACTIVITY(c->capability->misc) & BIT(activity - 1));
}

static void check_guest_activity(struct check *c)
{
    uint64_t activity = check_field(c, VMCS_ACTIVITY), shadow = check_field(c, VMCS_INTERRUPTIBILITY);

    check_rule(c, check_activity_supported(c, activity), "activity state: one that the CPU has");
    check_rule(c, implies(activity == 1, SEG_ATTR_DPL(check_field(c, VMCS_GUEST_ACCESS(SEG_SS))) == 0),
               "activity state: HLT at privilege level 0 only");
    check_rule(c, implies(activity, !(shadow & (SHADOW_STI | SHADOW_MOV_SS))),
               "activity state: active behind STI and MOV SS");
}

static void check_guest_shadow(struct check *c)
{
    uint64_t shadow = check_field(c, VMCS_INTERRUPTIBILITY), rflags = check_field(c, VMCS_GUEST_RFLAGS);
    bool sti = shadow & SHADOW_STI, mov_ss = shadow & SHADOW_MOV_SS;
    bool virtual_nmi = check_field(c, VMCS_PIN_CONTROLS) & PIN_VIRTUAL_NMI;
    bool nmi = guest_injects(c, EVENT_NMI);

    check_rule(c, !(shadow & ~MASK(5)), "interruptibility: reserved bits");
    check_rule(c, !sti || !mov_ss, "interruptibility: not STI and MOV SS at once");
    check_rule(c, implies(sti, rflags & RFLAGS_IF), "interruptibility: behind STI, IF is 1");
    check_rule(c, implies(guest_injects(c, EVENT_INTERRUPT), !sti && !mov_ss),
               "interruptibility: no interrupt is injected behind STI or MOV SS");
    check_rule(c, implies(nmi, !sti && !mov_ss), "interruptibility: no NMI is injected behind STI or MOV SS");
    check_rule(c, implies(nmi && virtual_nmi, !(shadow & SHADOW_NMI)),
               "interruptibility: no NMI is injected while NMIs are blocked");
    check_rule(c, !(shadow & SHADOW_SMI), "interruptibility: SMIs are blocked in SMM only");
}

static void check_guest_pending(struct check *c)
{
    uint64_t pending = check_field(c, VMCS_PENDING_DEBUG), shadow = check_field(c, VMCS_INTERRUPTIBILITY);
    bool stepping = check_field(c, VMCS_GUEST_RFLAGS) & RFLAGS_TF &&
                    !(check_field(c, VMCS_GUEST_DEBUGCTL) & DEBUGCTL_BTF);
    bool held = shadow & (SHADOW_STI | SHADOW_MOV_SS) || check_field(c, VMCS_ACTIVITY) == 1;

    check_rule(c, !(pending & PENDING_RESERVED), "pending debug exceptions: reserved bits");
    check_rule(c, implies(held, !(pending & PENDING_DEBUG_BS) == !stepping),
               "pending debug exceptions: BS as TF while instructions are shadowed");
    check_rule(c, check_field(c, VMCS_LINK_POINTER) == ~0ull,
               "VMCS link pointer: all ones without shadowing");
}

/* 27.3.1.6 */
static void check_guest_pdptes(struct check *c)
{
    bool pae = check_field(c, VMCS_GUEST_CR0) & CR0_PG && check_field(c, VMCS_GUEST_CR4) & CR4_PAE &&
               !guest_ia32e(c);
    uint64_t reserved = ~MASK(c->capability->physical_bits) | PDPTE_RESERVED;
    bool ok = true;

    for (uint32_t i = 0; i < 4; i++) {
        uint64_t entry = check_field(c, VMCS_GUEST_PDPTE(i));

        ok = ok && implies(entry & 1, !(entry & reserved));
    }
    check_rule(c, implies(pae && check_proc2(c) & PROC2_EPT, ok), "guest PDPTEs: reserved bits");
}

void check_guest(struct check *c)
{
    check_guest_control(c);
    check_guest_msrs(c);
    check_guest_tables(c);
    check_guest_flow(c);
    check_guest_activity(c);
    check_guest_shadow(c);
    check_guest_pending(c);
    check_guest_pdptes(c);
}
