#include "svm/probe.h"

#include "core/x86/caps.h"
#include "core/x86/msr.h"

#define EXT1_ECX_SVM    BIT(2)
#define EXT1_EDX_PAGE1G BIT(26)
#define EXT1_EDX_RDTSCP BIT(27)
#define BASIC7_INVPCID  BIT(10)
#define BASIC7_LA57     BIT(16) /* of ECX */
#define BASICD1_XSAVES  BIT(3)
#define SVM_EDX_NP      BIT(0)
#define SVM_EDX_SVML    BIT(2)

/* A feature of leaf 8000000A, register EDX, that is a capability. */
struct feature {
    uint8_t bit;
    uint8_t cap;
};

static const struct feature svm_features[] = {
    {3, CAP_NRIPS}, {5, CAP_VMCB_CLEAN}, {6, CAP_FLUSH_ASID}, {7, CAP_DECODE_ASSISTS}, {10, CAP_PLE},
};

bool probe_has_svm(const struct svm_cpuid *id)
{
    return id->ext1_ecx & EXT1_ECX_SVM;
}

/* 15.4: the firmware may have switched SVM off, for good or until a key is given. */
static const char *disabled_reason(uint32_t svm_edx, uint64_t vm_cr)
{
    if (!(vm_cr & VM_CR_SVMDIS) || !(vm_cr & VM_CR_LOCK))
        return NULL; /* not locked: cpu_on enables it */
    if (svm_edx & SVM_EDX_SVML)
        return "SVM is disabled by the firmware and locked with a key (VM_CR.SVMDIS, VM_CR.LOCK)";
    return "SVM is disabled by the firmware (VM_CR.SVMDIS, VM_CR.LOCK)";
}

const char *probe_unfit(const struct svm_cpuid *id, uint64_t vm_cr)
{
    const char *why;

    if (!probe_has_svm(id))
        return "this CPU has no SVM (AMD-V)";
    why = disabled_reason(id->svm_edx, vm_cr);
    if (why)
        return why;
    return id->svm_edx & SVM_EDX_NP ? NULL : "this CPU's SVM has no nested paging";
}

uint64_t probe_caps(const struct svm_cpuid *id)
{
    uint64_t bits = BIT(CAP_NEST2M) | BIT(CAP_QUICK);

    for (size_t i = 0; i < ARRAY_SIZE(svm_features); i++)
        if (id->svm_edx & BIT(svm_features[i].bit))
            bits |= BIT(svm_features[i].cap);
    /* Of the ids, 0 is the host's. */
    if (id->svm_ebx > 2)
        bits |= BIT(CAP_ASID);
    if (id->ext1_edx & EXT1_EDX_PAGE1G)
        bits |= BIT(CAP_NEST1G);
    /* What a guest may use without any help of a control. */
    if (id->ext1_edx & EXT1_EDX_RDTSCP)
        bits |= BIT(CAP_RDTSCP);
    if (id->basic7_ebx & BASIC7_INVPCID)
        bits |= BIT(CAP_INVPCID);
    if (id->basicd1_eax & BASICD1_XSAVES)
        bits |= BIT(CAP_XSAVES);
    if (id->basic7_ecx & BASIC7_LA57)
        bits |= BIT(CAP_LA57);
    return bits;
}
