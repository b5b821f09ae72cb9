/* Reset, INIT and start-up of a vCPU (SDM 9.4 and 10.1). */
#include "core/lib/string.h"
#include "core/msr.h"
#include "core/vcpu_ops.h"
#include "core/vm.h"
#include "core/x86/fpu.h"

/* vcpu->signals */
#define SIGNAL_INIT           BIT(0)
#define SIGNAL_STARTUP        BIT(1)
#define SIGNAL_VECTOR(vector) ((uint32_t)(vector) << 8)

int vcpu_reset(struct vcpu *vcpu, bool init)
{
    int err;

    memset(vcpu->gpr, 0, sizeof vcpu->gpr);
    memset(&vcpu->events, 0, sizeof vcpu->events);
    cpuid_ready_forget(&vcpu->cpuid);
    vcpu_ops->destroy(vcpu);
    err = vcpu_ops->create(vcpu);
    if (err)
        return err;
    vcpu->state = VCPU_STOPPED;
    vcpu_ops->tsc_offset(vcpu, vcpu->vm->tsc_offset + vcpu->tsc_adjust);
    if (init)
        return 0;
    vcpu->signals = 0;
    vcpu->xcr0 = 1;
    vcpu->xss = 0;
    fpu_reset(vcpu->fpu);
    msr_reset(vcpu);
    return 0;
}

static void signal_send(struct vcpu *vcpu, uint32_t bits)
{
    __atomic_fetch_or(&vcpu->signals, bits, __ATOMIC_SEQ_CST);
    vcpu_kick(vcpu);
}

void vcpu_signal_init(struct vcpu *vcpu)
{
    signal_send(vcpu, SIGNAL_INIT);
}

/* The last vector counts: one that waits is started once. */
void vcpu_signal_startup(struct vcpu *vcpu, uint8_t vector)
{
    __atomic_fetch_and(&vcpu->signals, ~SIGNAL_VECTOR(0xff), __ATOMIC_SEQ_CST);
    signal_send(vcpu, SIGNAL_STARTUP | SIGNAL_VECTOR(vector));
}

/* Real mode at vector << 12. */
static void signal_startup(struct vcpu *vcpu, uint8_t vector)
{
    struct vcpu_segment cs;

    vcpu_ops->get_seg(vcpu, SEG_CS, &cs);
    cs.selector = (uint16_t)(vector << 8);
    cs.base = (uint64_t)vector << 12;
    vcpu_ops->set_seg(vcpu, SEG_CS, &cs);
    vcpu_set_rip(vcpu, 0);
    vcpu->state = VCPU_RUNNING;
}

void vcpu_take_signals(struct vcpu *vcpu)
{
    uint32_t signals = __atomic_exchange_n(&vcpu->signals, 0, __ATOMIC_SEQ_CST);

    if (signals & SIGNAL_INIT) {
        /* The boot processor would start its firmware again. */
        if (vcpu->index == 0) {
            vm_stop(vcpu->vm, VM_STOP_REBOOT, 0);
            return;
        }
        vcpu->irqchip->init(vcpu->irqchip_ctx);
        if (vcpu_reset(vcpu, true)) {
            vm_stop(vcpu->vm, VM_STOP_CRASH, 1); /* it has no registers to report on */
            return;
        }
    }
    if ((signals & SIGNAL_STARTUP) && vcpu->state == VCPU_STOPPED)
        signal_startup(vcpu, (uint8_t)(signals >> 8));
}
