/*
 * Interrupts that the CPU delivers itself (SDM volume 3, chapter 30): APIC-register virtualization, virtual-interrupt
 * delivery, and posted interrupts where there are. The registers are in vcpu->vapic, shared with the LAPIC model; here is
 * what has to be told to the VMCS about them.
 *
 * The APIC-access page is a page of the VM's memory that holds nothing: accesses to it are redirected. A guest that isn't
 * in xAPIC mode, or has moved the registers, finds it as a page of ones, where hardware has nothing.
 */
#include "core/exit.h"
#include "core/lib/error.h"
#include "core/lib/string.h"
#include "core/trace.h"
#include "core/vapic.h"
#include "core/vm.h"
#include "core/vmmem.h"
#include "core/x86/vectors.h"
#include "mm/layout.h"
#include "vmx/vmx.h"

#define LAPIC_GPA   0xfee00000ull
#define HIDDEN_PAGE 1 /* page 0 is the identity table's */

#define PROC2_MODES (PROC2_APIC_ACCESS | PROC2_APIC_REGISTERS | PROC2_INTR_DELIVERY | PROC2_X2APIC)

/* By enum vapic_mode. */
static const uint32_t mode_proc2[] = {
    [VAPIC_OFF] = 0,
    [VAPIC_TRAPPED] = PROC2_APIC_ACCESS,
    [VAPIC_XAPIC] = PROC2_APIC_ACCESS | PROC2_APIC_REGISTERS | PROC2_INTR_DELIVERY,
    [VAPIC_X2APIC] = PROC2_X2APIC | PROC2_APIC_REGISTERS | PROC2_INTR_DELIVERY,
    [VAPIC_MOVED] = PROC2_INTR_DELIVERY,
};

static int access_page_create(struct vm *vm)
{
    struct pt_leaf leaf;
    gpa_t window;
    hpa_t frame;
    uint64_t before;
    int err;

    if (pt_lookup(&vm->nested, LAPIC_GPA, &leaf))
        return 0;
    err = hidden_frame(vm, HIDDEN_PAGE, &window, &frame);
    if (err)
        return err;
    before = vmmem_open(vm);
    memset((void *)(WINDOW_BASE + window), 0xff, PAGE_SIZE);
    vmmem_close(before);
    return pt_map(&vm->nested, LAPIC_GPA, frame, PAGE_SIZE, PT_READ | PT_WRITE);
}

int apicv_create(struct vmx_vcpu *v)
{
    v->apic_mode = VAPIC_OFF;
    vapic_touch(v->vcpu->vapic, VAPIC_STALE_STATUS | VAPIC_STALE_CONTROLS);
    return access_page_create(v->vcpu->vm);
}

void apicv_init(const struct vmx_vcpu *v)
{
    struct vapic *a = v->vcpu->vapic;
    struct pt_leaf leaf;
    bool mapped = pt_lookup(&v->vcpu->vm->nested, LAPIC_GPA, &leaf);

    vmwrite(VMCS_VIRTUAL_APIC, pool_hpa(a->page));
    vmwrite(VMCS_TPR_THRESHOLD, 0);
    vmwrite(VMCS_GUEST_INTR_STATUS, 0);
    if (mapped)
        vmwrite(VMCS_APIC_ACCESS, leaf.hpa + (LAPIC_GPA - leaf.addr));
    if (cap(CAP_POSTED)) {
        vmwrite(VMCS_POSTED_DESCRIPTOR, pool_hpa(a->requests));
        vmwrite(VMCS_POSTED_VECTOR, VECTOR_POSTED);
    }
}

/*
 * Where the CPU delivers nothing, what changes TPR exits. Without the TPR shadow, all of the APIC-access page does, too; it
 * must be there for every other of PROC2_MODES (27.2.1.1). With the mode, guest-physical accesses to that page change their
 * meaning (29.4.4.1).
 */
static void mode_apply(struct vmx_vcpu *v, enum vapic_mode mode)
{
    uint32_t pin = vmx.controls.pin, proc2 = (uint32_t)vmread(VMCS_PROC2_CONTROLS);
    bool delivers = mode > VAPIC_TRAPPED;
    const void *bitmap = mode == VAPIC_X2APIC ? vmx.msr_bitmap_x2apic : vmx.msr_bitmap;

    v->apic_mode = (uint8_t)mode;
    proc_control_set(v, PROC_TPR_SHADOW, delivers);
    proc_control_set(v, PROC_CR8_LOAD | PROC_CR8_STORE, !delivers);
    vmwrite(VMCS_PROC2_CONTROLS, (proc2 & ~(uint32_t)PROC2_MODES) | mode_proc2[mode]);
    if (cap(CAP_POSTED))
        vmwrite(VMCS_PIN_CONTROLS, delivers ? pin | (uint32_t)PIN_POSTED : pin);
    if (cap(CAP_MSR_BITMAP))
        vmwrite(VMCS_MSR_BITMAP, pool_hpa(bitmap));
    tlb_settle(v, PENDING_EPT);
}

static void eoi_exits_write(const struct vapic *a)
{
    uint64_t map[4];

    vapic_eoi_exits(a, map);
    vmwrite(VMCS_EOI_EXIT0, map[0]);
    vmwrite(VMCS_EOI_EXIT1, map[1]);
    vmwrite(VMCS_EOI_EXIT2, map[2]);
    vmwrite(VMCS_EOI_EXIT3, map[3]);
}

/* What the CPU takes next, when the guest lets it. Of what is posted to a guest that runs, we know nothing. */
static void status_write(struct vmx_vcpu *v, uint64_t status)
{
    if (v->apic_mode <= VAPIC_TRAPPED)
        return;
    vmwrite(VMCS_GUEST_INTR_STATUS, status);
    if (UNLIKELY(trace_on) && (uint8_t)status)
        trace_injected(v->vcpu, TRACE_VIRTUAL, (uint8_t)status);
}

static NOINLINE void stale_settle(struct vmx_vcpu *v)
{
    struct vapic *a = v->vcpu->vapic;
    uint32_t stale = __atomic_exchange_n(&a->stale, 0, __ATOMIC_SEQ_CST);

    vapic_collect(a);
    if (stale & VAPIC_STALE_CONTROLS) {
        if (a->mode != v->apic_mode)
            mode_apply(v, a->mode);
        eoi_exits_write(a);
    }
    status_write(v, vapic_status(a));
}

/* VM entry does the rest: it computes PPR anew and delivers what can be (27.3.2.5). */
void apicv_sync(struct vmx_vcpu *v)
{
    struct vapic *a = v->vcpu->vapic;
    uint64_t status;
    uint8_t vector;

    if (UNLIKELY(__atomic_load_n(&a->stale, __ATOMIC_RELAXED))) {
        stale_settle(v);
        return;
    }
    vector = vapic_collect_edges(a);
    status = vmread(VMCS_GUEST_INTR_STATUS);
    if (vector > (uint8_t)status)
        status_write(v, (status & ~0xffull) | vector);
}

/* An access that isn't virtualized: a register that needs the model, or an unusual form. */
void apicv_access(struct vcpu *vcpu)
{
    uint64_t qualification = vmx_vcpu(vcpu)->qualification;
    uint32_t type = QUAL_APIC_TYPE(qualification);
    struct exit_memory access = {
        .gpa = vcpu->apic_page + QUAL_APIC_OFFSET(qualification),
        .write = type == APIC_TYPE_WRITE,
        .fetch = type == APIC_TYPE_FETCH,
    };

    if (type > APIC_TYPE_FETCH)
        exit_failed(vcpu, "the guest's stack, tables or descriptors lie on its LAPIC");
    else
        exit_memory(vcpu, &access);
}

/* Trap-like: the instruction is done, the page has the value. */
void apicv_write(struct vcpu *vcpu)
{
    vcpu->irqchip->written(vcpu->irqchip_ctx, QUAL_APIC_OFFSET(vmx_vcpu(vcpu)->qualification));
}

void apicv_eoi(struct vcpu *vcpu)
{
    vcpu->irqchip->ended(vcpu->irqchip_ctx, (uint8_t)vmx_vcpu(vcpu)->qualification);
}
