/* Exits of instructions that ask about the CPU or change how it works. */
#include "core/access.h"
#include "core/cpuid.h"
#include "core/exit.h"
#include "core/fetch.h"
#include "core/msr.h"
#include "core/run.h"
#include "core/vcpu_ops.h"
#include "core/vm.h"
#include "core/x86/asm.h"
#include "core/x86/cr.h"
#include "core/x86/msr.h"

/* A LAPIC that is off isn't there (SDM volume 3, 11.4.3). */
static void exit_cpuid_apic(struct vcpu *vcpu, struct cpuid_entry *e)
{
    if (!(vcpu->apic_base & APIC_BASE_ENABLE))
        e->edx &= ~(uint32_t)BIT(9);
}

/* The registers of some leaves follow the vCPU's state. */
static void exit_cpuid_dynamic(struct vcpu *vcpu, struct cpuid_entry *e)
{
    struct cpuid_regs host;

    switch (e->leaf) {
    case 1:
        e->ebx |= vcpu->index << 24;
        if (vcpu_get(vcpu, REG_CR4) & CR4_OSXSAVE)
            e->ecx |= (uint32_t)BIT(27);
        exit_cpuid_apic(vcpu, e);
        break;
    case 0x80000001:
        exit_cpuid_apic(vcpu, e);
        break;
    case 7:
        if (e->subleaf == 0 && (vcpu_get(vcpu, REG_CR4) & CR4_PKE))
            e->ecx |= (uint32_t)BIT(4);
        break;
    case 0xb:
        e->edx = vcpu->index;
        break;
    case 0xd:
        /* The guest's XCR0 and XSS are loaded: the CPU itself knows the size that they give. */
        if (e->subleaf <= 1) {
            host = cpuid(0xd, e->subleaf);
            e->ebx = host.ebx;
        }
        break;
    }
}

/* The answer to e->leaf and e->subleaf. */
static void exit_cpuid_answer(struct vcpu *vcpu, struct cpuid_entry *e)
{
    const struct cpuid_entry *found = cpuid_find(&vcpu->vm->cpuid, e->leaf, e->subleaf);

    if (LIKELY(found))
        *e = *found;
    else if (e->leaf == 0xb) /* a level that isn't there still shows its number and the id (SDM volume 2) */
        e->ecx = e->subleaf & 0xff;
    exit_cpuid_dynamic(vcpu, e);
}

/* So that the next time is quicker. */
static void exit_cpuid_keep(struct vcpu *vcpu, uint32_t leaf)
{
    const struct cpuid_table *table = &vcpu->vm->cpuid;
    uint64_t cr4 = vcpu_get(vcpu, REG_CR4) & READY_CR4;
    uint32_t count;

    if (cr4 != vcpu->cpuid.cr4)
        cpuid_ready_forget(&vcpu->cpuid);
    vcpu->cpuid.cr4 = cr4;
    count = cap(CAP_QUICK) ? cpuid_ready_room(&vcpu->cpuid, table, leaf) : 0;

    for (uint32_t i = 0; i < count; i++) {
        struct cpuid_entry e = {.leaf = leaf, .subleaf = i};

        exit_cpuid_answer(vcpu, &e);
        cpuid_ready_add(&vcpu->cpuid, table, &e);
    }
}

void exit_cpuid(struct vcpu *vcpu)
{
    struct cpuid_entry e = {.leaf = (uint32_t)vcpu->gpr[REG_RAX], .subleaf = (uint32_t)vcpu->gpr[REG_RCX]};

    vcpu->stats.exits[STATS_CPUID]++;
    exit_cpuid_answer(vcpu, &e);
    vcpu->gpr[REG_RAX] = e.eax;
    vcpu->gpr[REG_RBX] = e.ebx;
    vcpu->gpr[REG_RCX] = e.ecx;
    vcpu->gpr[REG_RDX] = e.edx;
    vcpu_advance(vcpu);
    exit_cpuid_keep(vcpu, e.leaf);
}

void exit_hlt(struct vcpu *vcpu)
{
    vcpu->stats.exits[STATS_HLT]++;
    vcpu->state = VCPU_HALTED;
    vcpu_look(vcpu);
    vcpu_advance(vcpu);
}

/* A spinning vCPU most likely waits for one that doesn't run. */
void exit_pause(struct vcpu *vcpu)
{
    vcpu->stats.exits[STATS_PAUSE]++;
    run_yield();
    vcpu_advance(vcpu);
}

/* Where there are no paravirtual calls: -KVM_ENOSYS (1000), as KVM's guests expect of an unknown one. */
void exit_hypercall(struct vcpu *vcpu, uint32_t cpl)
{
    vcpu->stats.exits[STATS_HYPERCALL]++;
    if (UNLIKELY(cpl != 0)) {
        event_raise_ud(vcpu);
        return;
    }
    if (!pv_may_know(vcpu->vm->pv.kind, vcpu->gpr[REG_RAX])) {
        vcpu->gpr[REG_RAX] = (uint64_t)-1000;
    } else if (!pv_call(vcpu)) {
        event_raise_ud(vcpu);
        return;
    }
    vcpu_advance(vcpu);
}

#define X2APIC_USED 64 /* registers; none of those behind them exists */

static void exit_rdmsr_show(struct vcpu *vcpu, uint64_t value)
{
    vcpu->gpr[REG_RAX] = (uint32_t)value;
    vcpu->gpr[REG_RDX] = value >> 32;
    vcpu_advance(vcpu);
}

/* They are read and written more often than all others. One that is refused goes the long way once more, to be logged. */
static ALWAYS_INLINE bool exit_x2apic(struct vcpu *vcpu, uint32_t msr, bool write, uint64_t *value)
{
    uint32_t reg = msr - MSR_X2APIC_BASE;

    return LIKELY(reg < X2APIC_USED) && access_x2apic(vcpu, reg, write, value);
}

static __attribute__((noinline)) void exit_rdmsr_any(struct vcpu *vcpu, uint32_t msr)
{
    uint64_t value = 0;

    if (LIKELY(exit_x2apic(vcpu, msr, false, &value)) || LIKELY(msr_read(vcpu, msr, &value)))
        exit_rdmsr_show(vcpu, value);
    else
        event_raise_gp0(vcpu);
}

void exit_rdmsr(struct vcpu *vcpu)
{
    uint32_t msr = (uint32_t)vcpu->gpr[REG_RCX];

    vcpu->stats.exits[STATS_RDMSR]++;
    if (msr == vcpu->msr_kept.msr)
        exit_rdmsr_show(vcpu, *vcpu->msr_kept.value);
    else
        exit_rdmsr_any(vcpu, msr);
}

static uint64_t exit_wrmsr_value(const struct vcpu *vcpu)
{
    return (uint32_t)vcpu->gpr[REG_RAX] | vcpu->gpr[REG_RDX] << 32;
}

static NOINLINE void exit_wrmsr_other(struct vcpu *vcpu)
{
    if (msr_write_other(vcpu, (uint32_t)vcpu->gpr[REG_RCX], exit_wrmsr_value(vcpu)))
        vcpu_advance(vcpu);
    else
        event_raise_gp0(vcpu);
}

static NOINLINE void exit_wrmsr_any(struct vcpu *vcpu)
{
    if (LIKELY(msr_write_known(vcpu, (uint32_t)vcpu->gpr[REG_RCX], exit_wrmsr_value(vcpu))))
        vcpu_advance(vcpu);
    else
        exit_wrmsr_other(vcpu);
}

static NOINLINE void exit_wrmsr_x2apic(struct vcpu *vcpu, uint32_t reg)
{
    uint64_t value = exit_wrmsr_value(vcpu);

    if (LIKELY(access_x2apic(vcpu, reg, true, &value)))
        vcpu_advance(vcpu);
    else
        exit_wrmsr_other(vcpu);
}

void exit_wrmsr(struct vcpu *vcpu)
{
    uint32_t x2apic = (uint32_t)vcpu->gpr[REG_RCX] - MSR_X2APIC_BASE;

    vcpu->stats.exits[STATS_WRMSR]++;
    if (x2apic < X2APIC_USED)
        exit_wrmsr_x2apic(vcpu, x2apic);
    else
        exit_wrmsr_any(vcpu);
}

void exit_rdtsc(struct vcpu *vcpu, bool rdtscp)
{
    uint64_t tsc = rdtsc() + vcpu->vm->tsc_offset + vcpu->tsc_adjust;

    if ((vcpu_get(vcpu, REG_CR4) & CR4_TSD) && vcpu_cpl(vcpu) != 0) {
        event_raise_gp0(vcpu);
        return;
    }
    vcpu->gpr[REG_RAX] = (uint32_t)tsc;
    vcpu->gpr[REG_RDX] = tsc >> 32;
    if (rdtscp)
        vcpu->gpr[REG_RCX] = (uint32_t)vcpu->msr.tsc_aux;
    vcpu_advance(vcpu);
}

void exit_rdpmc(struct vcpu *vcpu)
{
    event_raise_gp0(vcpu);
}

/* SDM volume 2, XSETBV: which combinations are legal. `have` is what CPUID leaf 0DH shows. */
static bool exit_xcr0_valid(uint64_t xcr0, uint64_t have)
{
    const uint64_t avx512 = 7ull << 5;

    if (!(xcr0 & XCR0_X87) || (xcr0 & ~have))
        return false;
    if ((xcr0 & XCR0_AVX) && !(xcr0 & XCR0_SSE))
        return false;
    if ((xcr0 & avx512) && ((xcr0 & avx512) != avx512 || !(xcr0 & XCR0_AVX)))
        return false;
    return true;
}

void exit_xsetbv(struct vcpu *vcpu)
{
    const struct cpuid_entry *e = cpuid_find(&vcpu->vm->cpuid, 0xd, 0);
    uint64_t have = e ? e->eax | (uint64_t)e->edx << 32 : 0;
    uint64_t value = (uint32_t)vcpu->gpr[REG_RAX] | vcpu->gpr[REG_RDX] << 32;

    vcpu->stats.exits[STATS_XSETBV]++;
    if (!(vcpu_get(vcpu, REG_CR4) & CR4_OSXSAVE)) {
        event_raise_ud(vcpu);
    } else if (vcpu_cpl(vcpu) != 0 || (uint32_t)vcpu->gpr[REG_RCX] != 0 || !exit_xcr0_valid(value, have)) {
        event_raise_gp0(vcpu);
    } else {
        vcpu->xcr0 = value;
        xsetbv(0, value);
        vcpu_advance(vcpu);
    }
}

/*
 * INVD would drop what the host has in its caches; guests get WBINVD's harmless half of it. With coherent caches and
 * no devices of their own, neither has anything left to do.
 */
void exit_invd(struct vcpu *vcpu)
{
    if (vcpu_cpl(vcpu) != 0)
        event_raise_gp0(vcpu);
    else
        vcpu_advance(vcpu);
}

void exit_undefined(struct vcpu *vcpu)
{
    vcpu->stats.exits[STATS_UNDEFINED]++;
    event_raise_ud(vcpu);
}

/* Perhaps the exit was for a timer that is due, or ended what an NMI waited for. */
void exit_host_interrupt(struct vcpu *vcpu)
{
    vcpu->stats.exits[STATS_HOST]++;
    vcpu_look(vcpu);
}

/* Taken here, so that one which is about events alone, as other vCPUs' IPIs are, needs no more than looking at these. */
void exit_interrupt(struct vcpu *vcpu)
{
    vcpu->stats.exits[STATS_HOST]++;
    if (run_interrupts())
        vcpu_look(vcpu);
}

/* event_deliver looks again before the next entry, and closes the window if nothing waits any more. */
void exit_window(struct vcpu *vcpu, enum event_type type)
{
    (void)type;
    vcpu->stats.exits[STATS_WINDOW]++;
    vcpu_look_events(vcpu);
}
