/* Events into the guest, and what an exit says about events that were on their way (SDM volume 3, 25.8.3, 28.2.4). */
#include "core/x86/cr.h"
#include "vmx/vmx.h"

/* Bits that the CPU wants as 1 stay. */
void proc_control_set(struct vmx_vcpu *v, uint32_t bits, bool on)
{
    uint32_t proc = (on ? v->proc | bits : v->proc & ~bits) | (uint32_t)vmx.capability.proc;

    if (proc == v->proc)
        return;
    v->proc = proc;
    vmwrite(VMCS_PROC_CONTROLS, proc);
}

void shadow_set(struct vmx_vcpu *v, uint32_t shadow)
{
    v->shadow = shadow;
    vmwrite(VMCS_INTERRUPTIBILITY, shadow);
}

void shadow_sync_debug(struct vmx_vcpu *v)
{
    uint64_t pending;

    if (LIKELY(!(v->shadow & SHADOW_INSN)))
        return;
    pending = vmread(VMCS_PENDING_DEBUG) & ~PENDING_DEBUG_BS;
    vmwrite(VMCS_PENDING_DEBUG, v->rflags & RFLAGS_TF ? pending | PENDING_DEBUG_BS : pending);
}

/* The instruction is done, and core/vcpu.c raises what its end raises: no trap stays behind from the shadow. */
void vmx_clear_shadow(struct vcpu *vcpu)
{
    struct vmx_vcpu *v = vmx_vcpu(vcpu);
    uint32_t shadow = v->shadow;

    if (LIKELY(!(shadow & SHADOW_INSN)))
        return;
    shadow_set(v, shadow & ~(uint32_t)SHADOW_INSN);
    vmwrite(VMCS_PENDING_DEBUG, 0);
}

void vmx_set_shadow(struct vcpu *vcpu)
{
    struct vmx_vcpu *v = vmx_vcpu(vcpu);

    shadow_set(v, (v->shadow & ~(uint32_t)SHADOW_INSN) | SHADOW_MOV_SS);
    shadow_sync_debug(v);
}

/* An NMI could be injected behind STI on some CPUs only (27.3.1.5), so on none. */
bool vmx_nmi_blocked(struct vcpu *vcpu)
{
    struct vmx_vcpu *v = vmx_vcpu(vcpu);

    return cap(CAP_VNMI) ? v->shadow & SHADOW_NMI : v->nmi_blocked;
}

/* An entry that was put off, for there was more to do first, leaves what it was to inject: nothing may take its place. */
static bool event_on_its_way(void)
{
    return vmread(VMCS_ENTRY_INTR_INFO) & INTR_VALID;
}

bool vmx_can_inject(struct vcpu *vcpu, enum event_type type)
{
    struct vmx_vcpu *v = vmx_vcpu(vcpu);

    if (event_on_its_way())
        return false;
    if (type == EVENT_NMI)
        return !(v->shadow & SHADOW_INSN) && !vmx_nmi_blocked(vcpu);
    return v->rflags & RFLAGS_IF && !(v->shadow & SHADOW_INSN);
}

/* In real mode no error code is pushed, and VM entry insists on that (27.2.1.3). */
static bool event_pushes_error(const struct event *event)
{
    return event->has_error && vmread(VMCS_GUEST_CR0) & CR0_PE;
}

void vmx_inject(struct vcpu *vcpu, const struct event *event)
{
    uint32_t info = (uint32_t)INTR_VALID | (uint32_t)event->type << 8 | event->vector;

    if (event_pushes_error(event)) {
        info |= (uint32_t)INTR_HAS_ERROR;
        vmwrite(VMCS_ENTRY_ERROR_CODE, event->error & 0xffff);
    }
    if (event->type >= EVENT_SOFT_INT)
        vmwrite(VMCS_ENTRY_INSN_LEN, event->insn_len);
    if (event->type == EVENT_NMI)
        vmx_nmi_injected(vmx_vcpu(vcpu));
    vmwrite(VMCS_ENTRY_INTR_INFO, info);
}

bool vmx_inject_interrupt(struct vcpu *vcpu, uint8_t vector)
{
    struct vmx_vcpu *v = vmx_vcpu(vcpu);

    if (!(v->rflags & RFLAGS_IF) || v->shadow & SHADOW_INSN || event_on_its_way())
        return false;
    vmwrite(VMCS_ENTRY_INTR_INFO, INTR_VALID | vector);
    return true;
}

void vmx_window(struct vcpu *vcpu, enum event_type type, bool open)
{
    struct vmx_vcpu *v = vmx_vcpu(vcpu);

    if (type == EVENT_NMI)
        v->nmi_stand_in = vmx_nmi_window_set(v, open);
    else
        v->intr_window = open;
    proc_control_set(v, PROC_INTR_WINDOW, v->intr_window || v->nmi_stand_in);
}

static NOINLINE void event_reblock_nmi(struct vmx_vcpu *v)
{
    shadow_set(v, v->shadow | (uint32_t)SHADOW_NMI);
}

/* A fault of an IRET that had just ended the blocking of NMIs: it will run again, and NMIs are blocked till then (28.2.3). */
static bool exit_unblocked_nmi(const struct vmx_vcpu *v)
{
    if (v->reason == REASON_EPT_VIOLATION)
        return v->qualification & QUAL_EPT_NMI_UNBLOCKED;
    if (v->reason == REASON_EXCEPTION) {
        uint64_t info = vmread(VMCS_EXIT_INTR_INFO);

        return info & INTR_NMI_UNBLOCKED && INTR_VECTOR(info) != EXC_DF;
    }
    return false;
}

static NOINLINE void event_resume(struct vcpu *vcpu, uint64_t info)
{
    struct vmx_vcpu *v = vmx_vcpu(vcpu);
    struct event event = {
        .valid = true,
        .vector = INTR_VECTOR(info),
        .type = INTR_TYPE(info),
        .has_error = info & INTR_HAS_ERROR,
    };

    if (event.has_error)
        event.error = (uint32_t)vmread(VMCS_IDT_ERROR);
    if (event.type >= EVENT_SOFT_INT)
        event.insn_len = (uint8_t)vmread(VMCS_EXIT_INSN_LEN);
    if (event.type == EVENT_NMI)
        shadow_set(v, v->shadow & ~(uint32_t)SHADOW_NMI); /* its delivery begins anew */
    event_reinject(vcpu, &event);
}

void vmx_events_collect(struct vcpu *vcpu)
{
    struct vmx_vcpu *v = vmx_vcpu(vcpu);
    uint64_t info = vmread_surely(VMCS_IDT_INFO);

    if (UNLIKELY(info & INTR_VALID))
        event_resume(vcpu, info);
    else if (cap(CAP_VNMI) && exit_unblocked_nmi(v))
        event_reblock_nmi(v);
}
