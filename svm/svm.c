/* The AMD back end: is the processor fit for it, and switching it on and off (APM volume 2, 15.2-15.4, 15.30). */
#include "svm/svm.h"

#include "core/lib/error.h"
#include "core/lib/panic.h"
#include "core/lib/string.h"
#include "core/vcpu_ops.h"
#include "core/x86/asm.h"
#include "core/x86/features.h"
#include "core/x86/msr.h"
#include "core/x86/msr_safe.h"
#include "core/x86/percpu.h"
#include "mm/frame.h"
#include "mm/layout.h"
#include "mm/pt.h"
#include "svm/events.h"
#include "svm/probe.h"
#include "svm/vcpu.h"

#define LEAF_EXTENDED 0x80000000u
#define LEAF_SVM      0x8000000au

#define LEAF_HYPERVISOR 0x40000000u

struct svm_limits svm_limits;
struct control_maps svm_maps;
bool svm_on_tcg;

/* A leaf, or zeros if the processor doesn't go that far. */
static struct cpuid_regs leaf(uint32_t number, uint32_t subleaf)
{
    uint32_t max = cpuid(number & LEAF_EXTENDED, 0).eax;

    return number <= max ? cpuid(number, subleaf) : (struct cpuid_regs){0};
}

static struct svm_cpuid cpuid_read(void)
{
    struct cpuid_regs basic1 = leaf(1, 0), basic7 = leaf(7, 0), ext1 = leaf(0x80000001, 0),
                      svm = leaf(LEAF_SVM, 0);

    return (struct svm_cpuid){
        .basic1_ecx = basic1.ecx,
        .basic1_edx = basic1.edx,
        .basic7_ebx = basic7.ebx,
        .basic7_ecx = basic7.ecx,
        .basicd1_eax = leaf(0xd, 1).eax,
        .ext1_ecx = ext1.ecx,
        .ext1_edx = ext1.edx,
        .ext8_eax = leaf(0x80000008, 0).eax,
        .svm_ebx = svm.ebx,
        .svm_edx = svm.edx,
    };
}

static int svm_probe(struct caps *found, const char **why)
{
    struct svm_cpuid id = cpuid_read();

    *why = probe_unfit(&id, probe_has_svm(&id) ? rdmsr(MSR_VM_CR) : 0);
    if (*why)
        return ERR_NOTSUP;
    found->bits = probe_caps(&id);
    return 0;
}

static bool on_tcg(void)
{
    static const char signature[12] = "TCGTCGTCGTCG";
    struct cpuid_regs r = cpuid(LEAF_HYPERVISOR, 0);
    uint32_t words[3] = {r.ebx, r.ecx, r.edx};

    return features_virtual() && memcmp(words, signature, sizeof words) == 0;
}

static int svm_init(void)
{
    struct svm_cpuid id = cpuid_read();
    uint8_t *iopm = frame_alloc(frame_count(IOPM_BYTES), OWNER_HOST);
    uint8_t *msrpm = frame_alloc(frame_count(MSRPM_BYTES), OWNER_HOST);

    if (!iopm || !msrpm)
        return ERR_NOMEM;
    svm_on_tcg = on_tcg();
    iopm_build(iopm);
    msrpm_build(msrpm);
    svm_maps = (struct control_maps){.iopm = pool_hpa(iopm), .msrpm = pool_hpa(msrpm)};
    svm_limits = limits_from_cpuid(&id);
    return 0;
}

static void vmsave(hpa_t vmcb)
{
    __asm__ volatile("vmsave" : : "a"(vmcb) : "memory");
}

static void core_free(struct svm_cpu *c)
{
    if (!c)
        return;
    frame_free(c->hsave, 1);
    frame_free(c->host_vmcb, 1);
    frame_free(c, 1);
}

static struct svm_cpu *core_alloc(void)
{
    struct svm_cpu *c = frame_alloc(1, OWNER_CPU);

    if (!c)
        return NULL;
    c->hsave = frame_alloc(1, OWNER_CPU);
    c->host_vmcb = frame_alloc(1, OWNER_CPU);
    if (!c->hsave || !c->host_vmcb) {
        core_free(c);
        return NULL;
    }
    c->host_vmcb_hpa = pool_hpa(c->host_vmcb);
    asid_pool_init(&c->asids, cap(CAP_ASID) ? leaf(LEAF_SVM, 0).ebx - 1 : 1);
    return c;
}

/*
 * A guest makes LFENCE wait for all before it by a bit of DE_CFG, which it can't reach: so it is set for all. Older CPUs
 * have no such MSR, and an LFENCE that waits anyway.
 */
static void lfence_serialize(void)
{
    uint64_t config;

    if (rdmsr_safe(MSR_DE_CFG, &config) && !(config & DE_CFG_LFENCE_SERIALIZE))
        (void)!wrmsr_safe(MSR_DE_CFG, config | DE_CFG_LFENCE_SERIALIZE);
}

static int svm_cpu_on(void)
{
    struct svm_cpu *c = core_alloc();
    uint64_t vm_cr = rdmsr(MSR_VM_CR);

    if (!c)
        return ERR_NOMEM;
    if (vm_cr & VM_CR_SVMDIS)
        wrmsr(MSR_VM_CR, vm_cr & ~VM_CR_SVMDIS);
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
    wrmsr(MSR_VM_HSAVE_PA, pool_hpa(c->hsave));
    vmsave(c->host_vmcb_hpa);
    lfence_serialize();
    this_cpu()->vendor = c;
    return 0;
}

static void svm_cpu_off(void)
{
    struct svm_cpu *c = this_cpu()->vendor;

    this_cpu()->vendor = NULL;
    wrmsr(MSR_VM_HSAVE_PA, 0);
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~EFER_SVME);
    core_free(c);
}

static const struct vcpu_ops svm_ops = {
    /* Not under nested paging (APM 15.25.10); and TCG marks them accessed, by a bit that is reserved on Intel. */
    .loads_pdptes = false,
    .create = svm_vcpu_create,
    .destroy = svm_vcpu_destroy,
    .load = svm_vcpu_load,
    .unload = svm_vcpu_unload,
    .run = svm_entry,
    .get = svm_state_get,
    .set = svm_state_set,
    .get_seg = svm_state_get_seg,
    .get_cpl = svm_state_get_cpl,
    .get_long_root = svm_state_get_long_root,
    .get_code = svm_state_get_code,
    .set_seg = svm_state_set_seg,
    .get_msr = svm_vcpu_get_msr,
    .set_msr = svm_vcpu_set_msr,
    .nmi_blocked = svm_events_nmi_blocked,
    .set_nmi_blocked = svm_events_set_nmi_blocked,
    .can_inject = svm_events_can_inject,
    .inject = svm_events_inject,
    .inject_interrupt = svm_events_inject_interrupt,
    .window = svm_events_window,
    .clear_shadow = svm_events_clear_shadow,
    .set_shadow = svm_events_set_shadow,
    .tsc_offset = svm_vcpu_tsc_offset,
    .flush = svm_vcpu_flush,
    .dump = svm_dump,
    .exit_name = svm_exit_name,
};

const struct vendor svm_vendor = {
    .name = "svm",
    .hypercall = {0x0f, 0x01, 0xd9},
    .probe = svm_probe,
    .init = svm_init,
    .cpu_on = svm_cpu_on,
    .cpu_off = svm_cpu_off,
    .nested = &pt_npt,
    .ops = &svm_ops,
};
