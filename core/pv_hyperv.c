/* Hyper-V's MSRs but for the synthetic interrupt controller (TLFS 3, 10, 12). */
#include "core/pv_hyperv.h"

#include "core/access.h"
#include "core/lib/string.h"
#include "core/x86/msr.h"

#define MSR_OS_ID          0x40000000
#define MSR_HYPERCALL      0x40000001
#define MSR_VP_INDEX       0x40000002
#define MSR_TIME_REF_COUNT 0x40000020
#define MSR_REFERENCE_TSC  0x40000021
#define MSR_TSC_FREQUENCY  0x40000022
#define MSR_APIC_FREQUENCY 0x40000023
#define MSR_EOI            0x40000070
#define MSR_ICR            0x40000071
#define MSR_TPR            0x40000072
#define MSR_ASSIST         0x40000073

#define HYPERCALL_LOCKED BIT(1)
#define LAPIC_TPR        0x08
#define LAPIC_EOI        0x0b
#define LAPIC_ICR        0x30
#define LAPIC_ICR_HIGH   0x31

/* -- pages of the guest's ----------------------------------------------------------------------------------------- */

/* What bits 63-12 name, whole. */
static void *page_of(const struct vcpu *vcpu, uint64_t value)
{
    return pv_area(vcpu, value & ~PAGE_MASK, PAGE_SIZE);
}

static bool page_good(const struct vcpu *vcpu, uint64_t value)
{
    return !(value & PV_ENABLED) || page_of(vcpu, value);
}

/* Code that makes a hypercall, whatever the vendor. Before it says which system it is, a guest gets none (3.13). */
static bool set_hypercall(struct vcpu *vcpu, uint64_t value)
{
    struct hv_vm *hv = &vcpu->vm->pv.hv;
    uint8_t *code;

    if (hv->hypercall & HYPERCALL_LOCKED)
        return true;
    if (!hv->os_id)
        value &= ~(uint64_t)PV_ENABLED;
    if (!page_good(vcpu, value))
        return false;
    hv->hypercall = value;
    if (!(value & PV_ENABLED))
        return true;
    code = page_of(vcpu, value);
    memset(code, 0xcc, PAGE_SIZE);
    memcpy(code, vcpu->vm->pv.hypercall, sizeof(vcpu->vm->pv.hypercall));
    code[sizeof(vcpu->vm->pv.hypercall)] = 0xc3; /* RET */
    return true;
}

static void set_os_id(struct vcpu *vcpu, uint64_t value)
{
    struct hv_vm *hv = &vcpu->vm->pv.hv;

    hv->os_id = value;
    if (!value)
        hv->hypercall &= ~(uint64_t)PV_ENABLED;
}

/* -- time (12.4) -------------------------------------------------------------------------------------------------- */

static bool tscs_agree(const struct vcpu *vcpu)
{
    for (uint32_t i = 0; i < vcpu->vm->vcpu_count; i++)
        if (vcpu->vm->vcpus[i]->tsc_adjust != vcpu->tsc_adjust)
            return false;
    return true;
}

/* Reference time = (TSC * scale) / 2^64 + offset. Sequence 0: read the MSR instead. */
static void reference_page_write(struct vcpu *vcpu)
{
    struct vm_pv *pv = &vcpu->vm->pv;
    volatile uint64_t *page = page_of(vcpu, pv->hv.reference_tsc);
    volatile uint32_t *sequence = (volatile uint32_t *)page;
    bool negative = vcpu->tsc_adjust >> 63;
    uint64_t adjust = negative ? -vcpu->tsc_adjust : vcpu->tsc_adjust;
    uint64_t factor = pv->hv_clock.mult << (64 - pv->hv_clock.shift);
    uint64_t moved = (uint64_t)((unsigned __int128)adjust * factor >> 64);

    *sequence = 0;
    __atomic_thread_fence(__ATOMIC_RELEASE);
    if (!tscs_agree(vcpu) || pv->hv_clock.mult >> 63)
        return;
    page[1] = factor;
    page[2] = negative ? moved : -moved;
    __atomic_thread_fence(__ATOMIC_RELEASE);
    pv->hv.sequence = MAX(pv->hv.sequence + 1, 1u);
    *sequence = pv->hv.sequence;
}

static bool set_reference_tsc(struct vcpu *vcpu, uint64_t value)
{
    if (!page_good(vcpu, value))
        return false;
    vcpu->vm->pv.hv.reference_tsc = value;
    if (value & PV_ENABLED)
        reference_page_write(vcpu);
    return true;
}

void hv_tsc_adjusted(struct vcpu *vcpu)
{
    if (vcpu->vm->pv.hv.reference_tsc & PV_ENABLED)
        reference_page_write(vcpu);
}

/* -- the LAPIC's registers (10.2) --------------------------------------------------------------------------------- */

static bool apic_access(struct vcpu *vcpu, uint32_t reg, bool write, uint64_t *value)
{
    struct bus_access access = {.addr = reg << 4, .value = *value, .size = 4, .write = write};
    bool good;

    if (vcpu->apic_base & APIC_BASE_X2APIC)
        return access_x2apic(vcpu, reg, write, value);
    good = vcpu->apic_mmio(vcpu->apic_ctx, &access) == BUS_OK;
    *value = access.value;
    return good;
}

/* In xAPIC mode the destination is a register of its own, which goes first. */
static bool set_icr(struct vcpu *vcpu, uint64_t value)
{
    uint64_t high = value >> 32, low = (uint32_t)value;

    if (vcpu->apic_base & APIC_BASE_X2APIC)
        return apic_access(vcpu, LAPIC_ICR, true, &value);
    return apic_access(vcpu, LAPIC_ICR_HIGH, true, &high) && apic_access(vcpu, LAPIC_ICR, true, &low);
}

static bool get_icr(struct vcpu *vcpu, uint64_t *value)
{
    uint64_t high = 0;

    *value = 0;
    if (!apic_access(vcpu, LAPIC_ICR, false, value))
        return false;
    if (vcpu->apic_base & APIC_BASE_X2APIC)
        return true;
    (void)apic_access(vcpu, LAPIC_ICR_HIGH, false, &high);
    *value = (uint32_t)*value | high << 32;
    return true;
}

static bool set_eoi(struct vcpu *vcpu)
{
    uint64_t value = 0;

    return apic_access(vcpu, LAPIC_EOI, true, &value);
}

/* Its first bit says that an EOI can be left out (10.3.5), as with KVM's. */
static bool set_assist(struct vcpu *vcpu, uint64_t value)
{
    uint8_t *page = value & PV_ENABLED ? page_of(vcpu, value) : NULL;

    if (!page_good(vcpu, value))
        return false;
    vcpu->pv.hv.assist = value;
    if (page)
        memset(page, 0, 4);
    if (!vcpu->vapic)
        vcpu->irqchip->set_eoi_flag(vcpu->irqchip_ctx, page);
    return true;
}

/* -- all MSRs ----------------------------------------------------------------------------------------------------- */

bool hv_read_msr(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
    const struct vm_pv *pv = &vcpu->vm->pv;

    if (pv->kind != PV_HYPERV)
        return false;
    *value = 0;
    switch (msr) {
    case MSR_OS_ID:
        *value = pv->hv.os_id;
        return true;
    case MSR_HYPERCALL:
        *value = pv->hv.hypercall;
        return true;
    case MSR_VP_INDEX:
        *value = vcpu->index;
        return true;
    case MSR_TIME_REF_COUNT:
        *value = vm_now(vcpu->vm) / HV_TIME_NS;
        return true;
    case MSR_REFERENCE_TSC:
        *value = pv->hv.reference_tsc;
        return true;
    case MSR_TSC_FREQUENCY:
        *value = pv->tsc_hz;
        return true;
    case MSR_APIC_FREQUENCY:
        *value = pv->apic_hz;
        return true;
    case MSR_ICR:
        return get_icr(vcpu, value);
    case MSR_TPR:
        return apic_access(vcpu, LAPIC_TPR, false, value);
    case MSR_ASSIST:
        *value = vcpu->pv.hv.assist;
        return true;
    default:
        return hv_synic_read(vcpu, msr, value);
    }
}

bool hv_write_msr(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    if (vcpu->vm->pv.kind != PV_HYPERV)
        return false;
    switch (msr) {
    case MSR_OS_ID:
        set_os_id(vcpu, value);
        return true;
    case MSR_HYPERCALL:
        return set_hypercall(vcpu, value);
    case MSR_REFERENCE_TSC:
        return set_reference_tsc(vcpu, value);
    case MSR_EOI:
        return set_eoi(vcpu);
    case MSR_ICR:
        return set_icr(vcpu, value);
    case MSR_TPR:
        return value <= 0xff && apic_access(vcpu, LAPIC_TPR, true, &value);
    case MSR_ASSIST:
        return set_assist(vcpu, value);
    default:
        return hv_synic_write(vcpu, msr, value);
    }
}

void hv_reset(struct vcpu *vcpu)
{
    if (vcpu->index == 0)
        memset(&vcpu->vm->pv.hv, 0, sizeof(vcpu->vm->pv.hv));
    vcpu->pv.hv.assist = 0;
    hv_synic_reset(vcpu);
}
