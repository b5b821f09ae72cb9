/* Hypercalls. KVM's (hypercalls.rst): number in RAX, operands in RBX, RCX, RDX, RSI. */
#include "core/event.h"
#include "core/fetch.h"
#include "core/pv.h"
#include "core/run.h"
#include "core/vm.h"

#define CALL_POLL_IRQ    1
#define CALL_KICK_CPU    5
#define CALL_SEND_IPI    10
#define CALL_SCHED_YIELD 11

#define HV_CALL_LONG_SPIN_WAIT 8
#define HV_INVALID_CALL        2

#define ERROR_INVALID ((uint64_t)-22)
#define ERROR_NO_CALL ((uint64_t)-1000)
#define ICR_DELIVERY  0x700u
#define ICR_NMI       0x400u
#define ICR_ELSE      0xcf800u /* shorthand, destination mode, trigger, level: none of this makes sense here */
#define ICR_ASSERT    0x4000u

/* A vCPU by its APIC id, which is its number. */
static struct vcpu *vcpu_of(const struct vm *vm, uint64_t id)
{
    return id < vm->vcpu_count ? vm->vcpus[id] : NULL;
}

/* To vCPUs first, first + 1, ... as the bits say. Returns how many took it. */
static uint64_t ipi_send(const struct vm *vm, uint64_t bits, uint64_t first, uint32_t icr)
{
    bool nmi = (icr & ICR_DELIVERY) == ICR_NMI;
    uint64_t count = 0;

    for (; bits; bits &= bits - 1) {
        struct vcpu *to = vcpu_of(vm, first + (uint64_t)__builtin_ctzll(bits));

        if (!to)
            break;
        count += to->irqchip->receive(to->irqchip_ctx, (uint8_t)icr, nmi);
    }
    return count;
}

/* In 64-bit mode each bitmap has 64 bits, else 32. */
static uint64_t call_send_ipi(const struct vcpu *vcpu, const uint64_t operands[4], bool wide)
{
    uint64_t first = (uint32_t)operands[2], next = first + (wide ? 64 : 32);
    uint32_t icr = (uint32_t)operands[3], delivery = icr & ICR_DELIVERY;

    if ((icr & ICR_ELSE & ~ICR_ASSERT) || (delivery && delivery != ICR_NMI))
        return ERROR_INVALID;
    return ipi_send(vcpu->vm, operands[0], first, icr) + ipi_send(vcpu->vm, operands[1], next, icr);
}

/* Its HLT ends, or its next one does, even with interrupts off. */
static uint64_t call_kick(const struct vcpu *vcpu, uint64_t id)
{
    struct vcpu *to = vcpu_of(vcpu->vm, id);

    if (to) {
        __atomic_store_n(&to->pv.kicked, true, __ATOMIC_SEQ_CST);
        vcpu_kick(to);
    }
    return 0;
}

static uint64_t call_yield(const struct vcpu *vcpu, uint64_t id)
{
    struct vcpu *to = vcpu_of(vcpu->vm, id);

    if (to && to != vcpu)
        run_yield_to(to);
    return 0;
}

static uint64_t kvm_call(struct vcpu *vcpu, bool wide)
{
    uint64_t mask = wide ? UINT64_MAX : UINT32_MAX;
    const uint64_t operands[4] = {vcpu->gpr[REG_RBX] & mask, vcpu->gpr[REG_RCX] & mask,
                                  vcpu->gpr[REG_RDX] & mask, vcpu->gpr[REG_RSI] & mask};

    switch (vcpu->gpr[REG_RAX] & mask) {
    case CALL_POLL_IRQ: /* only for its exit */
        return 0;
    case CALL_KICK_CPU:
        return call_kick(vcpu, operands[1]);
    case CALL_SEND_IPI:
        return call_send_ipi(vcpu, operands, wide);
    case CALL_SCHED_YIELD:
        return call_yield(vcpu, operands[0]);
    default:
        return ERROR_NO_CALL;
    }
}

/* TLFS 3.7: the code in the low half of the input. */
bool hv_call(struct vcpu *vcpu, uint64_t *result)
{
    uint64_t input = vcpu->gpr[REG_RCX];

    if (!(vcpu->vm->pv.hv.hypercall & PV_ENABLED))
        return false;
    if (vcpu_insn_mode(vcpu) != INSN_MODE_64)
        input = (uint32_t)vcpu->gpr[REG_RAX];
    *result = HV_INVALID_CALL;
    if ((uint16_t)input == HV_CALL_LONG_SPIN_WAIT) {
        run_yield();
        *result = 0;
    }
    return true;
}

/* Hyper-V's results are in EDX:EAX outside of 64-bit mode. */
bool pv_call(struct vcpu *vcpu)
{
    bool wide = vcpu_insn_mode(vcpu) == INSN_MODE_64;
    uint64_t result = ERROR_NO_CALL;

    if (vcpu->vm->pv.kind == PV_KVM) {
        result = kvm_call(vcpu, wide);
    } else if (vcpu->vm->pv.kind == PV_HYPERV) {
        if (!hv_call(vcpu, &result))
            return false;
        if (!wide)
            vcpu->gpr[REG_RDX] = result >> 32;
    }
    vcpu->gpr[REG_RAX] = result;
    return true;
}
