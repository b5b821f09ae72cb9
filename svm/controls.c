#include "svm/controls.h"

#include "core/event.h"
#include "core/lib/string.h"
#include "core/x86/caps.h"
#include "core/x86/msr.h"
#include "svm/svm.h"

/*
 * What exits always. Not here, and why:
 *  - CR0, CR2, CR3, INVLPG, #PF: under nested paging they are the guest's own, and the processor itself refuses bad
 *    values. Its CR0.CD slows down the guest alone.
 *  - Task switches: with nested paging nothing of them concerns the host (15.14.1).
 *  - RDTSC: offset by hardware. MOV DR: DR6 and DR7 are in the VMCB, DR0-3 are switched when a vCPU is loaded.
 * CR4 writes exit where this guest may set fewer bits than the processor has: its own check knows only the latter.
 * QEMU's TCG refuses nothing of what is written to CR0, and of CR4 only bits that it doesn't have: VMRUN then refuses the guest.
 * There both exit, but for CR0.TS and CR0.MP. So does LTR, which takes a null selector there, with which QEMU itself ends.
 */
#define CONTROLS3                                                                                            \
    (INTERCEPT3_INTR | INTERCEPT3_NMI | INTERCEPT3_SMI | INTERCEPT3_INIT | INTERCEPT3_RDPMC |                \
     INTERCEPT3_CPUID | INTERCEPT3_INVD | INTERCEPT3_HLT | INTERCEPT3_INVLPGA | INTERCEPT3_IOIO |            \
     INTERCEPT3_MSR | INTERCEPT3_SHUTDOWN)
#define CONTROLS4                                                                                            \
    (INTERCEPT4_VMRUN | INTERCEPT4_VMMCALL | INTERCEPT4_VMLOAD | INTERCEPT4_VMSAVE | INTERCEPT4_STGI |       \
     INTERCEPT4_CLGI | INTERCEPT4_SKINIT | INTERCEPT4_WBINVD | INTERCEPT4_MONITOR | INTERCEPT4_MWAIT |       \
     INTERCEPT4_MWAIT_ARMED | INTERCEPT4_XSETBV | INTERCEPT4_RDPRU)
#define CONTROLS5 (INTERCEPT5_INVLPGB | INTERCEPT5_MCOMMIT | INTERCEPT5_TLBSYNC)

/* #DB and #AC go straight back to the guest, but a guest whose handlers raise them again without end must not hold a
 * core: the processor takes no interrupt between two such deliveries. #MC is the host's. #UD goes back with RF in its frame, which
 * QEMU 7.2 (TCG) leaves out. */
#define CONTROLS_EXCEPTIONS (BIT(EXC_DB) | BIT(EXC_UD) | BIT(EXC_AC) | BIT(EXC_MC))

/* Pauses closer together than the threshold count down the filter (15.14.4): a spinning vCPU lets others run. */
#define PAUSE_COUNT     3000
#define PAUSE_THRESHOLD 128

/* MSRs that VMRUN, VMLOAD and VMSAVE switch: the guest has its own. PAT is virtual under nested paging (15.25.8). */
static const uint32_t own_msrs[] = {
    MSR_SYSENTER_CS, MSR_SYSENTER_ESP, MSR_SYSENTER_EIP, MSR_PAT,     MSR_STAR,           MSR_LSTAR,
    MSR_CSTAR,       MSR_SFMASK,       MSR_FS_BASE,      MSR_GS_BASE, MSR_KERNEL_GS_BASE,
};

#define MSRPM_NONE SIZE_MAX

/* The bit of an MSR's read intercept; its write intercept is the next. */
static size_t msrpm_bit(uint32_t msr)
{
    static const uint32_t bases[] = {0, 0xc0000000, 0xc0010000};

    for (size_t i = 0; i < ARRAY_SIZE(bases); i++)
        if (msr - bases[i] < 0x2000)
            return (i * 0x2000 + (msr - bases[i])) * 2;
    return MSRPM_NONE;
}

static void msrpm_allow(uint8_t *map, uint32_t msr)
{
    size_t bit = msrpm_bit(msr);

    map[bit / 8] &= (uint8_t) ~(3u << bit % 8);
}

/*
 * QEMU's TCG (7.2) takes every value for these, where processors raise #GP for what isn't canonical (APM volume 3, WRMSR),
 * and a guest dies of its next access there. So core looks at what is written.
 */
static void msrpm_guard_addresses(uint8_t *map)
{
    static const uint32_t addresses[] = {MSR_LSTAR, MSR_CSTAR, MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE};

    for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
        size_t bit = msrpm_bit(addresses[i]);

        map[bit / 8] |= (uint8_t)(2u << bit % 8);
    }
}

void iopm_build(uint8_t *map)
{
    memset(map, 0xff, IOPM_BYTES);
}

void msrpm_build(uint8_t *map)
{
    memset(map, 0xff, MSRPM_BYTES);
    for (size_t i = 0; i < ARRAY_SIZE(own_msrs); i++)
        msrpm_allow(map, own_msrs[i]);
    /* Switched by svm/vcpu.c, and only where RDTSCP makes it worth something. */
    if (cap(CAP_RDTSCP))
        msrpm_allow(map, MSR_TSC_AUX);
    if (svm_on_tcg)
        msrpm_guard_addresses(map);
}

bool msrpm_exits(const uint8_t *map, uint32_t msr, bool write)
{
    size_t bit = msrpm_bit(msr);

    return bit == MSRPM_NONE || (map[bit / 8] >> (bit % 8 + write) & 1);
}

static void controls_intercepts(struct vmcb *vmcb)
{
    vmcb->intercept_cr_read = BIT(8);
    vmcb->intercept_cr_write = BIT(8);
    vmcb->intercept_exceptions = CONTROLS_EXCEPTIONS;
    vmcb->intercept3 = CONTROLS3;
    vmcb->intercept4 = CONTROLS4;
    vmcb->intercept5 = CONTROLS5;
    if (!cap(CAP_RDTSCP))
        vmcb->intercept4 |= INTERCEPT4_RDTSCP;
    if (!cap(CAP_INVPCID))
        vmcb->intercept5 |= INTERCEPT5_INVPCID;
    if (cap(CAP_PLE)) {
        vmcb->intercept3 |= INTERCEPT3_PAUSE;
        vmcb->pause_filter_count = PAUSE_COUNT;
        vmcb->pause_filter_threshold = PAUSE_THRESHOLD;
    }
}

void controls_init(struct vmcb *vmcb, const struct control_maps *maps, hpa_t nested_root, bool own_cr4)
{
    controls_intercepts(vmcb);
    if (!own_cr4 || svm_on_tcg)
        vmcb->intercept_cr_write |= BIT(4);
    if (svm_on_tcg)
        vmcb->intercept3 |= INTERCEPT3_CR0_SEL | INTERCEPT3_TR_WRITE;
    vmcb->iopm_base = maps->iopm;
    vmcb->msrpm_base = maps->msrpm;
    vmcb->int_control = INT_V_MASKING;
    vmcb->np_control = NP_ENABLE;
    vmcb->n_cr3 = nested_root;
}
