/*
 * The capability record (DESIGN 1.2): optional features, probed on each core, reduced to what all have, less what
 * `disable=` names. Chosen once at boot; afterwards only read. A feature that isn't here is either required or unused.
 */
#pragma once

#include "core/lib/types.h"

/* Name in the event line and in disable= , and what it is used for. CAP_LIST is the only place to add one. */
#define CAP_LIST(X)                                                                                          \
    /* both vendors */                                                                                       \
    X(PAGE1G, "page1g")            /* 1 GiB leaves in the host page table */                                 \
    X(NEST2M, "nest2m")            /* 2 MiB leaves in EPT; always in NPT */                                  \
    X(NEST1G, "nest1g")            /* 1 GiB leaves in EPT or NPT */                                          \
    X(X2APIC, "x2apic")            /* host LAPIC driven by MSRs */                                           \
    X(TSC_DEADLINE, "tscdeadline") /* host LAPIC timer in TSC-deadline mode */                               \
    X(INVARIANT_TSC, "invtsc")     /* the TSC runs at one rate in all states */                              \
    X(SMEP, "smep")                                                                                          \
    X(SMAP, "smap")                                                                                          \
    X(UMIP, "umip")                                                                                          \
    X(XSAVE, "xsave")     /* guest may use XSAVE, AVX and so on */                                           \
    X(XSAVES, "xsaves")   /* guest may use XSAVES */                                                         \
    X(RDTSCP, "rdtscp")   /* guest may use RDTSCP/RDPID and TSC_AUX */                                       \
    X(INVPCID, "invpcid") /* guest may use INVPCID */                                                        \
    X(LA57, "la57")       /* guest may use five levels of page tables */                                     \
    X(ASID, "asid")       /* VPID, or more than one ASID: tagged TLB */                                      \
    X(QUICK, "quick")     /* no feature: the short ways of CPUID and, on QEMU, of CR0 and CR4 */             \
    /* VMX */                                                                                                \
    X(UG, "ug") /* unrestricted guest: real mode and no paging */                                            \
    X(MSR_BITMAP, "msrbitmap")                                                                               \
    X(INVEPT_SINGLE, "inveptsingle")                                                                         \
    X(INVVPID_SINGLE, "invvpidsingle")                                                                       \
    X(PREEMPTION_TIMER, "preempttimer")                                                                      \
    X(TPR_SHADOW, "tprshadow")                                                                               \
    X(APICV, "apicv")        /* APIC register virtualization and virtual-interrupt delivery */               \
    X(POSTED, "posted")      /* posted interrupts */                                                         \
    X(PLE, "ple")            /* pause-loop exiting; SVM: pause filter */                                     \
    X(VNMI, "vnmi")          /* virtual NMIs with NMI-window exiting */                                      \
    X(LOAD_EFER, "loadefer") /* EFER switched by entry and exit controls */                                  \
    X(LOAD_PAT, "loadpat")                                                                                   \
    /* SVM */                                                                                                \
    X(NRIPS, "nrips") /* next RIP saved on exits */                                                          \
    X(DECODE_ASSISTS, "decodeassists")                                                                       \
    X(FLUSH_ASID, "flushasid")                                                                               \
    X(VMCB_CLEAN, "vmcbclean")

enum cap {
#define X(id, name) CAP_##id,
    CAP_LIST(X)
#undef X
        CAP_COUNT
};

_Static_assert(CAP_COUNT <= 64, "a caps record is one word");

struct caps {
    uint64_t bits; /* BIT(CAP_...) */
};

/* The machine's record: valid once boot has called caps_settle(). */
extern struct caps caps;

static inline bool cap(enum cap c)
{
    return caps.bits & BIT(c);
}

const char *cap_name(enum cap c);
/* The capability with that name, or -1. */
int cap_find(const char *name, size_t len);
/*
 * Reads "a,b,c" and clears what it names from *allowed. An unknown name is reported by one log line and is otherwise
 * ignored; returns the number of unknown names.
 */
int caps_disable(struct caps *allowed, const char *list);
/* Writes "a,b,c" of all that are set; always terminates. */
void caps_format(struct caps c, char *buf, size_t size);
/* Makes c the machine's record, less those that need another one that isn't there. */
void caps_settle(struct caps c);
