/* What the files of svm/ share of the machine: the capability probe's results and each core's own pages. */
#pragma once

#include "svm/asid.h"
#include "svm/controls.h"
#include "svm/limits.h"

/* Behind struct cpu's `vendor`. */
struct svm_cpu {
    void *hsave;     /* where VMRUN puts host state: for the processor alone */
    void *host_vmcb; /* FS, GS, TR, LDTR and the MSRs of VMSAVE, as the host has them on this core */
    hpa_t host_vmcb_hpa;
    struct asid_pool asids;
};

/* Set by the vendor's init, only read afterwards. */
extern struct svm_limits svm_limits;
extern struct control_maps svm_maps;
extern bool svm_on_tcg; /* QEMU without KVM: virq.h, shadow.h, controls.c */
