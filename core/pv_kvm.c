/* KVM's MSRs (msr.rst): clocks, steal time, and EOI through memory. */
#include "core/pv.h"

#include "core/vcpu_ops.h"
#include "core/vm.h"
#include "core/x86/msr.h"

#define CLOCK_WORDS      8 /* struct pvclock_vcpu_time_info */
#define CLOCK_FLAGS      29
#define CLOCK_STABLE     BIT(0)
#define WALL_WORDS       3  /* struct pvclock_wall_clock */
#define STEAL_BYTES      64 /* struct kvm_steal_time */
#define STEAL_VERSION    8
#define STEAL_PREEMPTED  16
#define STEAL_RESERVED   0x3eull
#define PREEMPTED        BIT(0)
#define PREEMPTED_FLUSH  BIT(1)
#define ADDRESS(value)   ((value) & ~3ull)
#define ADDRESS_RESERVED BIT(1)

void *pv_area(const struct vcpu *vcpu, gpa_t gpa, uint32_t len)
{
    const struct gmem *mem = &vcpu->vm->mem;

    return gmem_guest_writable(mem, gpa, len) ? gmem_ptr(mem, gpa, len) : NULL;
}

/* The guest reads `words` behind the version until that is even and the same before and after. */
static void versioned_write(volatile uint32_t *to, const uint32_t *words, uint32_t count)
{
    uint32_t version = to[0] & ~1u;

    to[0] = version + 1;
    __atomic_thread_fence(__ATOMIC_RELEASE);
    for (uint32_t i = 1; i < count; i++)
        to[i] = words[i];
    __atomic_thread_fence(__ATOMIC_RELEASE);
    to[0] = version + 2;
}

/* -- clocks ----------------------------------------------------------------------------------------------------- */

/*
 * The guest's ns = (TSC - start) * 2^shift * mul / 2^32. Its TSC and VM time begin together, so that the line is the same for
 * all vCPUs and never has to be drawn anew.
 */
static void clock_write(struct vcpu *vcpu)
{
    const struct vm_pv *pv = &vcpu->vm->pv;
    void *to = pv_area(vcpu, ADDRESS(vcpu->pv.system_time), CLOCK_WORDS * 4);
    uint32_t spare = (uint32_t)__builtin_clzll(pv->clock.mult);
    uint8_t shift = (uint8_t)(64 - pv->clock.shift - spare);
    uint32_t words[CLOCK_WORDS] = {
        [2] = (uint32_t)vcpu->tsc_adjust,
        [3] = (uint32_t)(vcpu->tsc_adjust >> 32),
        [6] = (uint32_t)(pv->clock.mult << spare >> 32),
        [7] = shift | (pv->clocks_differ ? 0 : (uint32_t)CLOCK_STABLE << 8),
    };

    if (to)
        versioned_write(to, words, CLOCK_WORDS);
}

/* The system time's zero in wall-clock time; written once, when asked for. */
static void wall_clock_write(struct vcpu *vcpu)
{
    uint32_t words[WALL_WORDS] = {[1] = (uint32_t)vcpu->vm->pv.unix_time};

    versioned_write(pv_area(vcpu, vcpu->pv.wall_clock, WALL_WORDS * 4), words, WALL_WORDS);
}

static bool set_wall_clock(struct vcpu *vcpu, uint64_t value)
{
    if ((value & 3) || !pv_area(vcpu, value, WALL_WORDS * 4))
        return false;
    vcpu->pv.wall_clock = value;
    wall_clock_write(vcpu);
    return true;
}

static bool set_system_time(struct vcpu *vcpu, uint64_t value)
{
    if ((value & PV_ENABLED) &&
        ((value & ADDRESS_RESERVED) || !pv_area(vcpu, ADDRESS(value), CLOCK_WORDS * 4)))
        return false;
    vcpu->pv.system_time = value;
    if (value & PV_ENABLED)
        clock_write(vcpu);
    return true;
}

/* Whoever reads another vCPU's page, as a vDSO does, must know that it isn't as good as one's own any more. */
static void clocks_differ(struct vm *vm)
{
    vm->pv.clocks_differ = true;
    for (uint32_t i = 0; i < vm->vcpu_count; i++) {
        struct vcpu *other = vm->vcpus[i];
        uint8_t *page = pv_area(other, ADDRESS(other->pv.system_time), CLOCK_WORDS * 4);

        if (page && (other->pv.system_time & PV_ENABLED))
            __atomic_fetch_and(&page[CLOCK_FLAGS], (uint8_t)~CLOCK_STABLE, __ATOMIC_RELAXED);
    }
}

static bool clocks_agree(const struct vm *vm)
{
    for (uint32_t i = 1; i < vm->vcpu_count; i++)
        if (vm->vcpus[i]->tsc_adjust != vm->vcpus[0]->tsc_adjust)
            return false;
    return true;
}

void pv_tsc_adjusted(struct vcpu *vcpu)
{
    struct vm *vm = vcpu->vm;

    if (vm->pv.kind == PV_HYPERV)
        hv_tsc_adjusted(vcpu);
    if (vm->pv.kind != PV_KVM)
        return;
    if (vm->vcpu_count > 1 && !vm->pv.clocks_differ && !clocks_agree(vm))
        clocks_differ(vm);
    if (vcpu->pv.system_time & PV_ENABLED)
        clock_write(vcpu);
}

/* -- steal time ------------------------------------------------------------------------------------------------- */

static uint8_t *steal_area(struct vcpu *vcpu)
{
    return pv_area(vcpu, vcpu->pv.steal & ~MASK(6), STEAL_BYTES);
}

/* Other vCPUs of the guest may have left a flush to be done, instead of an interrupt. */
void pv_steal_begin(struct vcpu *vcpu)
{
    uint8_t *at = steal_area(vcpu);
    uint64_t waited = vcpu->sched.waited;
    uint32_t *version = (uint32_t *)(void *)(at + STEAL_VERSION);
    uint64_t *steal = (uint64_t *)(void *)at;

    if (__atomic_exchange_n(&at[STEAL_PREEMPTED], 0, __ATOMIC_SEQ_CST) & PREEMPTED_FLUSH)
        vcpu_ops->flush(vcpu);
    if (waited == vcpu->pv.waited_told)
        return;
    __atomic_store_n(version, (*version & ~1u) + 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    __atomic_store_n(steal, *steal + (waited - vcpu->pv.waited_told), __ATOMIC_RELAXED);
    __atomic_store_n(version, *version + 1, __ATOMIC_RELEASE);
    vcpu->pv.waited_told = waited;
}

void pv_steal_end(struct vcpu *vcpu)
{
    __atomic_store_n(&steal_area(vcpu)[STEAL_PREEMPTED], (uint8_t)PREEMPTED, __ATOMIC_SEQ_CST);
}

static bool set_steal(struct vcpu *vcpu, uint64_t value)
{
    if ((value & STEAL_RESERVED) || ((value & PV_ENABLED) && !pv_area(vcpu, value & ~MASK(6), STEAL_BYTES)))
        return false;
    vcpu->pv.steal = value;
    vcpu->pv.waited_told = vcpu->sched.waited;
    if (value & PV_ENABLED)
        pv_steal_begin(vcpu);
    return true;
}

/* -- the rest --------------------------------------------------------------------------------------------------- */

/* Not where the CPU itself ends interrupts without an exit. */
static bool set_eoi(struct vcpu *vcpu, uint64_t value)
{
    uint8_t *flag = value & PV_ENABLED ? pv_area(vcpu, ADDRESS(value), 4) : NULL;

    if (vcpu->vapic || (value & ADDRESS_RESERVED) || ((value & PV_ENABLED) && !flag))
        return false;
    vcpu->pv.eoi = value;
    vcpu->irqchip->set_eoi_flag(vcpu->irqchip_ctx, flag);
    return true;
}

/* There is no halt polling that it could turn off. */
static bool set_poll(struct vcpu *vcpu, uint64_t value)
{
    if (value & ~1ull)
        return false;
    vcpu->pv.poll = value;
    return true;
}

bool pv_kvm_read_msr(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
    const struct vcpu_pv *pv = &vcpu->pv;
    const uint64_t values[] = {pv->wall_clock, pv->system_time, 0, pv->steal, pv->eoi, pv->poll};

    if (vcpu->vm->pv.kind != PV_KVM || msr == MSR_KVM_ASYNC_PF || (msr == MSR_KVM_PV_EOI && vcpu->vapic))
        return false;
    *value = values[msr - MSR_KVM_FIRST];
    return true;
}

bool pv_kvm_write_msr(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
    static bool (*const set[])(struct vcpu * vcpu, uint64_t value) = {
        [MSR_KVM_WALL_CLOCK - MSR_KVM_FIRST] = set_wall_clock,
        [MSR_KVM_SYSTEM_TIME - MSR_KVM_FIRST] = set_system_time,
        [MSR_KVM_STEAL_TIME - MSR_KVM_FIRST] = set_steal,
        [MSR_KVM_PV_EOI - MSR_KVM_FIRST] = set_eoi,
        [MSR_KVM_POLL_CONTROL - MSR_KVM_FIRST] = set_poll,
    };

    if (vcpu->vm->pv.kind != PV_KVM || !set[msr - MSR_KVM_FIRST])
        return false;
    return set[msr - MSR_KVM_FIRST](vcpu, value);
}

void pv_reset(struct vcpu *vcpu)
{
    hv_reset(vcpu);
    vcpu->pv.wall_clock = vcpu->pv.system_time = vcpu->pv.steal = vcpu->pv.eoi = 0;
    vcpu->pv.poll = 1;
    vcpu->pv.kicked = false;
    vcpu->vm->pv.clocks_differ = false;
}
