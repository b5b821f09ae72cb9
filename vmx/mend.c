/*
 * Guest state that Bochs 3.0 saves at an exit and refuses at the next entry (SDM volume 3, 27.8). A CPU saves nothing that it doesn't
 * take back. The failed entry has left the VMCS as it was, with the event to inject, and the guest goes on where a CPU would be.
 */
#include "core/fetch.h"
#include "vmx/vmx.h"

#define TYPE_DATA 3 /* accessed, and can be written */

/* EIP wraps at 4 GiB, and there runs on. */
static bool mend_rip(struct vcpu *vcpu)
{
    if (!(vcpu->rip >> 32) || vcpu_insn_mode(vcpu) == INSN_MODE_64)
        return false;
    vcpu_set_rip(vcpu, (uint32_t)vcpu->rip);
    return true;
}

/* A load in real mode makes a segment of data, and leaves there the type that a null selector gave the register before: 0. */
static bool mend_segment(struct vcpu *vcpu, enum vcpu_seg seg)
{
    struct vcpu_segment s;

    vmx_get_seg(vcpu, seg, &s);
    if (!(s.attr & SEG_ATTR_P) || s.attr & SEG_ATTR_TYPE)
        return false;
    s.attr |= TYPE_DATA;
    vmx_set_seg(vcpu, seg, &s);
    return true;
}

static bool mend_segments(struct vcpu *vcpu)
{
    static const enum vcpu_seg data[] = {SEG_ES, SEG_SS, SEG_DS, SEG_FS, SEG_GS};
    bool mended = false;

    for (size_t i = 0; i < ARRAY_SIZE(data); i++)
        mended |= mend_segment(vcpu, data[i]);
    return mended;
}

bool mend_guest(struct vcpu *vcpu)
{
    struct vmx_vcpu *v = vmx_vcpu(vcpu);

    if (!v->entry_failed || (!mend_rip(vcpu) && !mend_segments(vcpu)))
        return false;
    v->entry_failed = false;
    /* Launched or not: cleared, it isn't, and that the run loop enters next. */
    vmcs_clear(v);
    vmcs_load(v);
    vcpu_look(vcpu);
    return true;
}
