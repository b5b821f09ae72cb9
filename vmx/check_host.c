/* SDM volume 3, 27.2.2 to 27.2.4: host state. Keel is a 64-bit host; rules for others are left out. */
#include "core/x86/cr.h"
#include "core/x86/msr.h"
#include "vmx/check_rules.h"
#include "vmx/vmcs.h"

static void check_host_control(struct check *c)
{
    const struct vmx_capability *cap = c->capability;
    uint64_t cr4 = check_field(c, VMCS_HOST_CR4);

    check_rule(c,
               check_fixed(check_field(c, VMCS_HOST_CR0), cap->cr0_fixed0, cap->cr0_fixed1, CR0_CD | CR0_NW),
               "host CR0: fixed bits");
    check_rule(c, check_fixed(cr4, cap->cr4_fixed0, cap->cr4_fixed1, 0), "host CR4: fixed bits");
    check_rule(c, check_field(c, VMCS_HOST_CR3) >> cap->physical_bits == 0,
               "host CR3: beyond the physical address width");
    check_rule(c, cr4 & CR4_PAE, "host CR4: PAE in a 64-bit host");
    check_rule(c, check_field(c, VMCS_EXIT_CONTROLS) & EXIT_HOST64, "host address-space size: 64 bits");
}

static void check_host_msrs(struct check *c)
{
    uint64_t exit = check_field(c, VMCS_EXIT_CONTROLS), efer = check_field(c, VMCS_HOST_EFER);
    const uint64_t defined = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;

    check_rule(c, check_canonical(c, check_field(c, VMCS_HOST_SYSENTER_ESP)), "host SYSENTER_ESP: canonical");
    check_rule(c, check_canonical(c, check_field(c, VMCS_HOST_SYSENTER_EIP)), "host SYSENTER_EIP: canonical");
    check_rule(c, implies(exit & EXIT_LOAD_PAT, check_pat(check_field(c, VMCS_HOST_PAT))),
               "host PAT: memory types");
    check_rule(c, implies(exit & EXIT_LOAD_EFER, !(efer & ~defined) && efer & EFER_LMA && efer & EFER_LME),
               "host EFER: LMA and LME, reserved bits");
}

static void check_host_selectors(struct check *c)
{
    uint64_t any = 0;

    for (uint32_t field = VMCS_HOST_ES_SELECTOR; field <= VMCS_HOST_TR_SELECTOR; field += 2)
        any |= check_field(c, field);
    check_rule(c, !(any & 7), "host selectors: RPL and TI are 0");
    check_rule(c, check_field(c, VMCS_HOST_CS_SELECTOR), "host CS: not null");
    check_rule(c, check_field(c, VMCS_HOST_TR_SELECTOR), "host TR: not null");
}

static void check_host_bases(struct check *c)
{
    static const struct {
        uint32_t field;
        const char *rule;
    } bases[] = {
        {VMCS_HOST_FS_BASE, "host FS base: canonical"},
        {VMCS_HOST_GS_BASE, "host GS base: canonical"},
        {VMCS_HOST_TR_BASE, "host TR base: canonical"},
        {VMCS_HOST_GDTR_BASE, "host GDTR base: canonical"},
        {VMCS_HOST_IDTR_BASE, "host IDTR base: canonical"},
        {VMCS_HOST_RIP, "host RIP: canonical"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(bases); i++)
        check_rule(c, check_canonical(c, check_field(c, bases[i].field)), bases[i].rule);
}

void check_host(struct check *c)
{
    check_host_control(c);
    check_host_msrs(c);
    check_host_selectors(c);
    check_host_bases(c);
}
