/*
 * The Intel back end as its own files see it: what the machine has, and the vCPU behind vcpu->arch. Nothing outside vmx/
 * includes this.
 */
#pragma once

#include "core/vcpu_ops.h"
#include "core/x86/percpu.h"
#include "vmx/controls.h"
#include "vmx/insn.h"
#include "vmx/vmcs.h"

/* What holds for all cores; settled by vmx_init, afterwards only read. */
struct vmx {
    struct vmx_capability capability;
    struct vmx_controls controls;
    uint64_t cr4_guest_owned; /* bits of CR4 that a guest may change without an exit */
    uint32_t timer_shift;     /* the preemption timer counts TSC ticks >> this */
    void *msr_bitmap;         /* one for all: which MSRs pass is the same for every guest */
    void *msr_bitmap_x2apic;  /* with CAP_APICV: the same for those whose LAPIC is in x2APIC mode */
};
extern struct vmx vmx;

/* Where entry.asm finds its way back: HOST_RSP points at .gpr, below it is room for one push. */
struct vmx_frame {
    uint64_t scratch;
    uint64_t *gpr; /* vcpu->gpr */
    uint64_t rsp;  /* the host's stack while the guest runs */
    uint64_t cr2;  /* the guest's while not loaded, and with a balloon also between exit and entry */
};

/* An entry of a VM-entry or VM-exit MSR-load area (SDM 25.7.2). */
struct msr_slot {
    uint32_t index;
    uint32_t reserved;
    uint64_t value;
};
_Static_assert(sizeof(struct msr_slot) == 16, "SDM table 25-15");

/* MSRs that stay in the hardware while a vCPU is loaded, and here while it isn't. */
enum swapped_msr {
    MSR_SLOT_STAR,
    MSR_SLOT_LSTAR,
    MSR_SLOT_CSTAR,
    MSR_SLOT_SFMASK,
    MSR_SLOT_KERNEL_GS,
    SWAPPED_MSRS
};

/* Work for before the next entry, in vcpu->attention. Set from any core. */
#define PENDING_EPT   BIT(0) /* nested mappings changed: drop what the TLB has of them */
#define PENDING_VPID  BIT(1) /* the guest's own translations changed */
#define PENDING_PDPTE BIT(2) /* PAE paging: read the four entries at CR3 */
#define PENDING_REAL  BIT(3) /* stays: the guest is in real mode, and there is no CAP_UG */
#define PENDING_STEP  BIT(4) /* stays: see nmi.c */
#define PENDING_TPR   BIT(5) /* stays: see tpr.c */
#define PENDING_STAYS ((uint8_t)(PENDING_REAL | PENDING_STEP | PENDING_TPR))

/* One more exit reason: the guest wasn't entered, or came back with what isn't to be expected. */
#define REASON_REFUSED REASON_COUNT

struct vmx_vcpu {
    struct vmx_frame frame; /* must stay first (entry.asm) */
    struct vcpu *vcpu;
    void *vmcs;
    uint8_t *virtual_apic; /* only with CAP_TPR_SHADOW, and not with CAP_APICV */
    struct cpu *cpu;       /* on which it is loaded, or NULL */
    struct cpu *last_cpu;  /* on which it was loaded before: the TLB of another may be stale */
    bool launched;         /* VMRESUME and not VMLAUNCH */
    bool cr8_used;         /* the guest has written CR8: it does so without exits from now on */
    uint8_t cr8;           /* as it stands in virtual_apic */
    uint16_t vpid;
    uint8_t apic_mode;            /* enum vapic_mode, as the controls stand */
    uint32_t proc, entry;         /* control fields as they stand in the VMCS */
    bool timed;                   /* the preemption timer is to end at `deadline` */
    uint8_t timer_shift;          /* that of struct vmx */
    uint32_t deadline;            /* the low half of a host TSC */
    uint32_t reason;              /* of the last exit that wasn't an instruction's, or REASON_REFUSED */
    uint32_t shadow;              /* VMCS_INTERRUPTIBILITY, as it stands outside of the guest */
    uint64_t rflags;              /* VMCS_GUEST_RFLAGS, likewise */
    uint64_t qualification;       /* of that exit */
    const char *failure;          /* with REASON_REFUSED: why */
    bool entry_failed;            /* with REASON_REFUSED: the CPU found a rule of VM entry broken */
    bool intr_window;             /* an exit is asked for when the guest can take an interrupt */
    bool nmi_window;              /* the same for NMIs */
    bool nmi_stand_in;            /* the interrupt window is open, since an NMI waits for that */
    bool nmi_blocked;             /* without CAP_VNMI: an NMI's handler hasn't ended (nmi.c) */
    bool nmi_iret;                /* the step that goes on is that of an IRET */
    uint64_t cr0, cr3, cr4, efer; /* the guest's view, without the bits of CR0 and CR4 that it owns */
    uint64_t cr4_owned;           /* which those are, for CR4, at present */
    uint64_t dr[4], dr6;          /* while not loaded */
    uint64_t pat;
    uint64_t msr[SWAPPED_MSRS]; /* while not loaded */
    uint32_t slots;             /* used in the MSR areas */
    struct msr_slot entry_msrs[2] __attribute__((aligned(16)));
    struct msr_slot exit_msrs[2] __attribute__((aligned(16)));
};
_Static_assert(offsetof(struct vmx_vcpu, frame) == 0, "entry.asm");
_Static_assert(sizeof(struct vmx_vcpu) <= PAGE_SIZE, "is one frame");

static inline struct vmx_vcpu *vmx_vcpu(const struct vcpu *vcpu)
{
    return vcpu->arch;
}

/* vmcs.c: a VMCS region, and its being current. */
void *vmcs_alloc(uint16_t owner) MUST_CHECK;
void vmcs_clear(struct vmx_vcpu *v);
void vmcs_load(struct vmx_vcpu *v);
void vmcs_borrow_slow(struct vmx_vcpu *v);
void vmcs_return_slow(struct vmx_vcpu *v);

/* Makes v's VMCS current if v isn't loaded; vmcs_return undoes that. Loaded on another core: our bug. */
static inline void vmcs_borrow(struct vmx_vcpu *v)
{
    if (UNLIKELY(v->cpu != this_cpu()))
        vmcs_borrow_slow(v);
}

static inline void vmcs_return(struct vmx_vcpu *v)
{
    if (UNLIKELY(v->cpu != this_cpu()))
        vmcs_return_slow(v);
}

/* vcpu.c */
int vmx_create(struct vcpu *vcpu);
void vmx_destroy(struct vcpu *vcpu);

/* load.c */
void vmx_load(struct vcpu *vcpu);
void vmx_unload(struct vcpu *vcpu);

/* entry.c */
void vmx_enter(struct vcpu *vcpu, uint64_t deadline);
void vmx_set_deadline(struct vcpu *vcpu, uint64_t deadline);
struct vcpu *vmx_exited(struct vcpu *vcpu, uint64_t reason);
struct vcpu *vmx_exited_traced(struct vcpu *vcpu, uint64_t reason);
const struct cpuid_row *vmx_exited_cpuid(struct vcpu *vcpu);
/* The exit qualification. That of most instructions says nothing, so that handlers ask; for all else, it was read and kept. */
static inline uint64_t exit_qualify(struct vcpu *vcpu)
{
    uint64_t qualification = vmread_surely(VMCS_QUALIFICATION);

    vcpu_trace_last(vcpu)->info = (uint32_t)qualification;
    return qualification;
}

/* entry.asm. Returns 0 when vmx_exited has returned NULL, 1 for VMfailInvalid, 2 for VMfailValid (SDM 31.2). */
uint32_t vmx_run(struct vmx_frame *frame, bool launched);
void vmx_run_exit(void); /* where the CPU comes back: HOST_RIP */
/* The same for a VM whose memory may come at a touch, by page faults of our own: CR2 is kept first. */
void vmx_run_exit_cr2(void);

/* exit.c: what to do for each basic exit reason. */
struct exit_row {
    void (*handle)(struct vcpu *vcpu); /* NULL: nothing here causes such an exit */
    bool
        insn; /* an instruction did: its length is valid, and no event's delivery was cut short (SDM 28.2.5) */
};
extern const struct exit_row vmx_exit_rows[];

/* regs.c, mode.c, msr.c */
uint64_t vmx_get(struct vcpu *vcpu, enum vcpu_reg reg);
void vmx_set(struct vcpu *vcpu, enum vcpu_reg reg, uint64_t value);
void vmx_get_seg(struct vcpu *vcpu, enum vcpu_seg seg, struct vcpu_segment *out);
uint32_t vmx_get_cpl(struct vcpu *vcpu);
bool vmx_get_long_root(struct vcpu *vcpu, uint64_t *cr3);
void vmx_get_code(struct vcpu *vcpu, struct vcpu_code *out);
void vmx_set_seg(struct vcpu *vcpu, enum vcpu_seg seg, const struct vcpu_segment *in);
/* Writes to the current VMCS. */
void segment_write(enum vcpu_seg seg, const struct vcpu_segment *in);
uint64_t mode_cr0(const struct vmx_vcpu *v);
uint64_t mode_cr3(const struct vmx_vcpu *v);
uint64_t mode_cr4(const struct vmx_vcpu *v);
void mode_set(struct vmx_vcpu *v, uint64_t cr0, uint64_t cr4, uint64_t efer);
void mode_set_cr3(struct vmx_vcpu *v, uint64_t cr3);
void mode_load_pdptes(struct vmx_vcpu *v);
/* Page `n`, below 32, of the VM's memory that its guest doesn't see; where it is in the window, and in the machine. */
int hidden_frame(struct vm *vm, uint32_t n, gpa_t *window, hpa_t *frame) MUST_CHECK;
/* The table that non-paging guests run on without CAP_UG: maps 4 GiB one to one. */
int identity_create(struct vm *vm) MUST_CHECK;
int vmx_get_msr(struct vcpu *vcpu, uint32_t msr, uint64_t *value);
int vmx_set_msr(struct vcpu *vcpu, uint32_t msr, uint64_t value);
void msr_bitmap_fill(void *bitmap);
void msr_bitmap_pass_x2apic(void *bitmap);
void msr_areas_update(struct vmx_vcpu *v, uint64_t efer);
void msr_swap_in(struct vmx_vcpu *v);
void msr_swap_out(struct vmx_vcpu *v);

/* events.c */
bool vmx_nmi_blocked(struct vcpu *vcpu);
void vmx_set_nmi_blocked(struct vcpu *vcpu, bool blocked);
bool vmx_can_inject(struct vcpu *vcpu, enum event_type type);
void vmx_inject(struct vcpu *vcpu, const struct event *event);
bool vmx_inject_interrupt(struct vcpu *vcpu, uint8_t vector);
void vmx_window(struct vcpu *vcpu, enum event_type type, bool open);
void vmx_clear_shadow(struct vcpu *vcpu);
void vmx_set_shadow(struct vcpu *vcpu);
void shadow_set(struct vmx_vcpu *v, uint32_t shadow);
/* VM entry wants BS in the pending debug exceptions to agree with TF while instructions are shadowed (SDM 27.3.1.5). */
void shadow_sync_debug(struct vmx_vcpu *v);
/* After an exit that can interrupt an event's delivery, or come from an IRET. */
void vmx_events_collect(struct vcpu *vcpu);
void proc_control_set(struct vmx_vcpu *v, uint32_t bit, bool on);

/* nmi.c */
bool vmx_nmi_window_set(struct vmx_vcpu *v, bool open);
void vmx_nmi_injected(struct vmx_vcpu *v);
void vmx_nmi_before_step(struct vcpu *vcpu);
void vmx_nmi_after_step(struct vcpu *vcpu);
void vmx_nmi_at_intr_window(struct vmx_vcpu *v);

/* tpr.c: MOV CR8 without exits, from the guest's first write on. */
void tpr_use(struct vcpu *vcpu);
void tpr_enter(struct vcpu *vcpu);
void tpr_leave(struct vcpu *vcpu);

/* apicv.c: interrupts that the CPU delivers, with CAP_APICV. */
int apicv_create(struct vmx_vcpu *v) MUST_CHECK;
void apicv_init(const struct vmx_vcpu *v); /* VMCS fields at rest */
void apicv_sync(struct vmx_vcpu *v);       /* before an entry, if vapic_waits() */
void apicv_access(struct vcpu *vcpu);
void apicv_write(struct vcpu *vcpu);
void apicv_eoi(struct vcpu *vcpu);

/* tlb.c */
uint16_t vpid_alloc(void);
void vpid_free(uint16_t vpid);
uint64_t eptp_make(const struct vm *vm);
void tlb_flush_core(void);
void tlb_settle(struct vmx_vcpu *v, uint32_t pending);
void vmx_flush(struct vcpu *vcpu);
static inline void pending_add(struct vmx_vcpu *v, uint8_t what)
{
    __atomic_or_fetch(&v->vcpu->attention, what, __ATOMIC_RELAXED);
}

/* mend.c: after an entry that failed for the guest's state. False: there is nothing to mend. */
bool mend_guest(struct vcpu *vcpu) MUST_CHECK;

/* dump.c */
bool vmx_dump(struct vcpu *vcpu, uint32_t part);
