/*
 * Blocking of NMIs on CPUs without virtual NMIs, where nothing tells that the guest's NMI handler has ended (SDM volume 3,
 * 26.3, IRET). The monitor trap flag makes the guest come back after each of the handler's instructions (26.5.2), and its
 * IRET is looked out for. On a CPU that hasn't got the flag either, that the guest takes interrupts again is the nearest
 * thing.
 */
#include "core/exit.h"
#include "core/fetch.h"
#include "vmx/vmx.h"

#define OPCODE_IRET 0xcf

static bool nmi_can_step(void)
{
    return !cap(CAP_VNMI) && control_allowed(vmx.capability.proc, PROC_MONITOR_TRAP);
}

static void nmi_step_while_needed(struct vmx_vcpu *v)
{
    bool step = nmi_can_step() && (v->nmi_blocked || v->nmi_window);

    proc_control_set(v, PROC_MONITOR_TRAP, step);
    if (step)
        pending_add(v, PENDING_STEP);
    else
        __atomic_and_fetch(&v->vcpu->attention, (uint8_t)~PENDING_STEP, __ATOMIC_RELAXED);
}

void vmx_nmi_injected(struct vmx_vcpu *v)
{
    if (cap(CAP_VNMI))
        return;
    v->nmi_blocked = true;
    nmi_step_while_needed(v);
}

static void nmi_unblock(struct vmx_vcpu *v)
{
    v->nmi_blocked = false;
    nmi_step_while_needed(v);
    shadow_set(v, v->shadow & ~(uint32_t)SHADOW_NMI);
}

void vmx_set_nmi_blocked(struct vcpu *vcpu, bool blocked)
{
    struct vmx_vcpu *v = vmx_vcpu(vcpu);

    if (cap(CAP_VNMI))
        shadow_set(v, blocked ? v->shadow | (uint32_t)SHADOW_NMI : v->shadow & ~(uint32_t)SHADOW_NMI);
    else if (blocked)
        vmx_nmi_injected(v);
    else
        nmi_unblock(v);
}

static bool nmi_iret_is_next(struct vcpu *vcpu)
{
    uint8_t bytes[INSN_MAX_LEN];
    struct insn insn;
    size_t got = vcpu_fetch(vcpu, bytes, sizeof(bytes));

    return insn_decode(bytes, got, vcpu_insn_mode(vcpu), &insn) > 0 && insn.map == INSN_MAP_ONE &&
           insn.opcode == OPCODE_IRET;
}

/* An event that is injected goes first: the step ends before its handler's first instruction. */
void vmx_nmi_before_step(struct vcpu *vcpu)
{
    vmx_vcpu(vcpu)->nmi_iret = !(vmread(VMCS_ENTRY_INTR_INFO) & INTR_VALID) && nmi_iret_is_next(vcpu);
}

void vmx_nmi_after_step(struct vcpu *vcpu)
{
    struct vmx_vcpu *v = vmx_vcpu(vcpu);

    if (v->nmi_iret)
        nmi_unblock(v);
    exit_window(vcpu, EVENT_NMI);
}

void vmx_nmi_at_intr_window(struct vmx_vcpu *v)
{
    if (v->nmi_blocked && !nmi_can_step())
        nmi_unblock(v);
}

/*
 * True if the interrupt window has to do: without either means, and for an NMI that waits for the end of an STI's shadow,
 * in the midst of which the CPU may report its NMI window open.
 */
static bool nmi_uses_intr_window(struct vmx_vcpu *v)
{
    uint32_t shadow = v->shadow;

    if (!cap(CAP_VNMI))
        return !nmi_can_step();
    return shadow & SHADOW_STI && !(shadow & SHADOW_NMI);
}

/* Opens or closes the window; true if that takes the interrupt window as well. */
bool vmx_nmi_window_set(struct vmx_vcpu *v, bool open)
{
    bool stand_in = open && nmi_uses_intr_window(v);

    v->nmi_window = open;
    if (cap(CAP_VNMI))
        proc_control_set(v, PROC_NMI_WINDOW, open && !stand_in);
    else
        nmi_step_while_needed(v);
    return stand_in;
}
