/* The back end's half of a vCPU: its VMCB, and what VMRUN doesn't switch or doesn't track. */
#pragma once

#include "core/vcpu_ops.h"
#include "core/x86/cr.h"
#include "core/x86/msr.h"
#include "mm/gwalk.h"
#include "svm/asid.h"
#include "svm/vmcb.h"

struct svm_cpu;

/* One instruction of the guest's by RFLAGS.TF: step.h. */
enum svm_step_kind {
    STEP_NONE,
    STEP_OWN,   /* the guest has TF set itself */
    STEP_IRET,  /* TF is ours, and the instruction replaces it with the guest's */
    STEP_PLAIN, /* TF is ours until the #DB */
};

struct svm_step {
    uint8_t kind; /* of this entry */
    bool hides;   /* this exit is a #DB that only our TF brought about */
    uint64_t dr6; /* the guest's */
};

/* NMI blocking and the NMI window, for processors without virtual NMIs: nmi.h. */
struct svm_nmi {
    bool blocked; /* an NMI was injected and its IRET hasn't been executed */
    bool iret;    /* the IRET that unblocks is at iret_rip, about to be executed */
    bool window;  /* an NMI waits */
    uint64_t iret_rip;
};

/* shadow.h */
struct svm_shadow {
    bool held; /* this entry is in an interrupt shadow that we keep up */
    uint64_t rip;
};

/* Lengths of instructions that exit, for processors without NRIPS: length.h. */
#define LENGTH_SLOTS 16

struct svm_length {
    uint64_t address, cr3; /* linear address, address space */
    uint32_t code;         /* of the exit */
    uint8_t len;           /* 0: nothing here */
} __attribute__((aligned(32)));

/* Pages with CPUIDs and with writes of control registers, likewise: page.h. */
#define SVM_PAGES 4

struct svm_page {
    gva_t last;          /* byte of it, in 64-bit mode with four levels of page tables; 0: nothing here */
    const uint8_t *code; /* in the VM's window, as long as the way there is this one: */
    struct gwalk_path path;
} __attribute__((aligned(128)));

struct svm_vcpu {
    struct vmcb *vmcb;
    struct vcpu *vcpu;
    hpa_t vmcb_hpa;
    bool loaded;     /* current on a core */
    bool irq_window; /* V_IRQ is armed */
    bool virq;       /* V_IRQ is the interrupt that this entry injects: virq.h */
    bool
        event_cut; /* the last exit has cut short the delivery of events.reinject; insn_plain is false then */
    uint8_t cr8;   /* V_TPR as it was at entry */
    struct svm_cpu *cpu; /* where it ran last */
    struct asid asid;
    struct svm_step step;
    struct svm_nmi nmi;
    struct svm_shadow shadow;
    uint64_t injected;    /* event_inj of this entry; 0: nothing */
    uint64_t efer_hidden; /* bits of the guest's EFER that its VMCB hasn't */
    uint64_t dr[4];       /* DR0-3 while it isn't loaded */
    struct svm_length lengths[LENGTH_SLOTS];
    struct svm_page pages[SVM_PAGES];
};

/* In vcpu->attention, changed by the functions below: what an entry or exit has to look at beyond the usual; mostly nothing. */
enum svm_attention {
    ATTENTION_FLUSH = BIT(0),    /* set from any core: flush this guest's TLB entries before the next entry */
    ATTENTION_CHECK = BIT(1),    /* core changed state that VMRUN checks: look first whether it will do */
    ATTENTION_INJECTED = BIT(2), /* this entry injects `injected` */
    ATTENTION_CR8 = BIT(3),      /* V_TPR is kept in step with the LAPIC's TPR: cr8.h */
    ATTENTION_NMI = BIT(4),      /* an NMI waits, or an IRET is about to unblock NMIs: nmi.h */
    ATTENTION_FLUSHED = BIT(5),  /* this entry flushes */
    ATTENTION_DIRTY = BIT(6),    /* at this entry, the processor has to read again what it mostly may keep */
    ATTENTION_ODD = BIT(7),      /* insn_plain is false, or core has begun an interrupt shadow */
};

static inline void attention_set(struct svm_vcpu *s, enum svm_attention what)
{
    __atomic_fetch_or(&s->vcpu->attention, what, __ATOMIC_RELEASE);
}

static inline void attention_clear(struct svm_vcpu *s, enum svm_attention what)
{
    __atomic_fetch_and(&s->vcpu->attention, ~what, __ATOMIC_ACQ_REL);
}

static inline struct svm_vcpu *svm_vcpu(const struct vcpu *vcpu)
{
    return vcpu->arch;
}

/* The instruction that exited is single-stepped, begun without a look at breakpoints, or in an interrupt shadow. */
static inline bool vmcb_insn_odd(const struct vmcb *vmcb)
{
    return UNLIKELY(vmcb->rflags & (RFLAGS_TF | RFLAGS_RF)) || UNLIKELY(vmcb->int_shadow & SHADOW_ACTIVE);
}

/* In 64-bit mode with four levels of page tables? */
static inline bool vmcb_long_root(const struct vmcb *vmcb)
{
    return LIKELY(vmcb->cs.attr & VMCB_ATTR_L) && LIKELY(vmcb->efer & EFER_LMA) &&
           LIKELY(!(vmcb->cr4 & CR4_LA57));
}

/* Says that the processor has to read these parts of the VMCB again, at the next entry. */
static inline void vmcb_dirty(struct svm_vcpu *s, uint32_t parts)
{
    s->vmcb->clean &= ~parts;
    if (cap(CAP_VMCB_CLEAN))
        attention_set(s, ATTENTION_DIRTY);
}

/* vcpu.c */
int svm_vcpu_create(struct vcpu *vcpu);
void svm_vcpu_destroy(struct vcpu *vcpu);
void svm_vcpu_load(struct vcpu *vcpu);
void svm_vcpu_unload(struct vcpu *vcpu);
int svm_vcpu_get_msr(struct vcpu *vcpu, uint32_t msr, uint64_t *value);
int svm_vcpu_set_msr(struct vcpu *vcpu, uint32_t msr, uint64_t value);
void svm_vcpu_tsc_offset(struct vcpu *vcpu, uint64_t offset);
void svm_vcpu_flush(struct vcpu *vcpu);

/* state.c: pure */
void svm_state_reset(struct vmcb *vmcb);
uint64_t svm_state_get(struct vcpu *vcpu, enum vcpu_reg reg);
void svm_state_set(struct vcpu *vcpu, enum vcpu_reg reg, uint64_t value);
void svm_state_get_seg(struct vcpu *vcpu, enum vcpu_seg seg, struct vcpu_segment *out);
uint32_t svm_state_get_cpl(struct vcpu *vcpu);
bool svm_state_get_long_root(struct vcpu *vcpu, uint64_t *cr3);
void svm_state_get_code(struct vcpu *vcpu, struct vcpu_code *out);
void svm_state_set_seg(struct vcpu *vcpu, enum vcpu_seg seg, const struct vcpu_segment *in);
/* The field of an MSR that VMLOAD, VMSAVE or VMRUN switch; NULL for others. */
uint64_t *svm_state_msr(struct vmcb *vmcb, uint32_t msr);

/* entry.c */
void svm_entry(struct vcpu *vcpu, uint64_t deadline);

/* quick.c: after the VMRUN of a CPUID. The answer, all else being done; NULL: go on as after any other. */
const struct cpuid_row *svm_exited_cpuid(struct vcpu *vcpu, struct vmcb *vmcb);

/* exit.c: what each exit code means. `insn`: an instruction that core may step over, so that its length is needed. */
struct exit_row {
    void (*handle)(struct vcpu *vcpu); /* NULL: svm_exit_other is for this code */
    bool insn;
};
extern const struct exit_row svm_exit_rows[EXIT_COUNT];
/* Codes that aren't in the table. */
void svm_exit_other(struct vcpu *vcpu);
/* An instruction whose length isn't known yet. */
void svm_exit_unmeasured(struct vcpu *vcpu);

/* dump.c, names.c */
bool svm_dump(struct vcpu *vcpu, uint32_t part);
const char *svm_exit_name(uint32_t code);
