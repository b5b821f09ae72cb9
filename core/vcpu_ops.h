/*
 * The vendor boundary. vmx/ and svm/ each define one `struct vendor` and one `struct vcpu_ops`; boot/main.c picks. A back
 * end translates: it runs a vCPU, reads why it came back, and calls the one common action of core/exit.h. No policy.
 */
#pragma once

#include "core/x86/caps.h"
#include "core/vcpu.h"

struct pt_format;
struct hostspace;
struct vcpu_code;

struct vendor {
    const char *name;     /* "vmx" or "svm" */
    uint8_t hypercall[3]; /* VMCALL or VMMCALL */
    /*
     * Can this core be used? Returns 0 and what it can do (only the caps that it knows of), or ERR_NOTSUP and a sentence
     * for a person in *why: "VT-x is locked off by the firmware (IA32_FEATURE_CONTROL)". Changes nothing.
     */
    int (*probe)(struct caps *found, const char **why);
    /* Called once on one core, after `caps` is settled and before any cpu_on. */
    int (*init)(void);
    /* Enters root mode or host mode on the calling core, using only caps that are settled; leaves it again. */
    int (*cpu_on)(void);
    void (*cpu_off)(void);
    /* Can guests be in real mode? vCPUs that another one starts begin there. NULL: yes. */
    bool (*real_mode)(void);
    const struct pt_format *nested; /* pt_ept or pt_npt */
    const struct vcpu_ops *ops;
};

struct vcpu_ops {
    /* Some writes to CR0 and CR4 load PAE's page-directory pointers into the CPU (SDM 4.4.1); else it reads them when it needs them. */
    bool loads_pdptes;
    /* Allocates vcpu->arch (pool frames owned by OWNER_VM + vm->id) and sets the architectural reset state (SDM 10.1.1). */
    int (*create)(struct vcpu *vcpu);
    void (*destroy)(struct vcpu *vcpu);
    /* Makes the vCPU current on this core / takes it off again: VMPTRLD, CR3 of the VM's host space, MSRs that aren't switched by
     * hardware. The run loop calls load once before a series of enters. */
    void (*load)(struct vcpu *vcpu);
    void (*unload)(struct vcpu *vcpu);
    /*
     * Enters the guest, acts on its exit by calling one exit_... of core/exit.h, and enters it again, until an exit leaves
     * more than events in vcpu->look, which it has delivered itself. Host interrupts stay off: one that comes is an exit, which sets it. When an exit is acted on, vcpu->rip,
     * insn_len and the trace are filled in, and an event whose delivery was interrupted has been given to event_reinject.
     * `deadline` is the host TSC at which the guest must leave at the latest, UINT64_MAX for none; used if
     * CAP_PREEMPTION_TIMER, ignored otherwise.
     */
    void (*run)(struct vcpu *vcpu, uint64_t deadline);
    /* From within that: another deadline from now on. NULL where it isn't used. */
    void (*set_deadline)(struct vcpu *vcpu, uint64_t deadline);
    uint64_t (*get)(struct vcpu *vcpu, enum vcpu_reg reg); /* RSP, RFLAGS, CR0, CR3, CR4, EFER, DR6, DR7 */
    void (*set)(struct vcpu *vcpu, enum vcpu_reg reg, uint64_t value);
    void (*get_seg)(struct vcpu *vcpu, enum vcpu_seg seg, struct vcpu_segment *out);
    void (*set_seg)(struct vcpu *vcpu, enum vcpu_seg seg, const struct vcpu_segment *in);
    uint32_t (*get_cpl)(struct vcpu *vcpu);
    /* Of a vCPU that is loaded. In 64-bit mode with four levels of page tables: true, and CR3. */
    bool (*get_long_root)(struct vcpu *vcpu, uint64_t *cr3);
    /* All that fetching and carrying out an instruction depends on, at once. */
    void (*get_code)(struct vcpu *vcpu, struct vcpu_code *out);
    /*
     * MSRs that the hardware switches with the guest and that core/msr.c finds intercepted: FS/GS base, SYSENTER, STAR..
     * Which values are right is for core to say.
     */
    int (*get_msr)(struct vcpu *vcpu, uint32_t msr, uint64_t *value); /* ERR_NOTFOUND: not one of those */
    int (*set_msr)(struct vcpu *vcpu, uint32_t msr, uint64_t value);
    /* Event injection, for core/event.c: is an event of this kind deliverable now; inject it; ask for an exit when it is. */
    bool (*can_inject)(struct vcpu *vcpu,
                       enum event_type type); /* EVENT_INTERRUPT (IF, shadow) or EVENT_NMI (blocking) */
    bool (*nmi_blocked)(struct vcpu *vcpu);   /* until the IRET of one that is being handled */
    /* One has been delivered, or an IRET executed, without the CPU. */
    void (*set_nmi_blocked)(struct vcpu *vcpu, bool blocked);
    void (*inject)(struct vcpu *vcpu, const struct event *event);
    /* Both at once for an interrupt, which most events are: false, it isn't deliverable now. */
    bool (*inject_interrupt)(struct vcpu *vcpu, uint8_t vector);
    void (*window)(struct vcpu *vcpu, enum event_type type, bool open);
    void (*clear_shadow)(struct vcpu *vcpu); /* STI or MOV SS shadow ends */
    void (*set_shadow)(struct vcpu *vcpu);   /* RIP is behind a MOV SS */
    void (*tsc_offset)(struct vcpu *vcpu, uint64_t offset);
    void (*flush)(
        struct vcpu *vcpu); /* nested mappings or guest translations changed: flush before the next entry */
    /*
     * Prints the control state, and why the last entry failed if it did: for crash reports. One log_error per line, some lines in each
     * part, which are numbered from 0. False: that was the last one.
     */
    bool (*dump)(struct vcpu *vcpu, uint32_t part);
    /* The name of an exit reason, for traces; never NULL. */
    const char *(*exit_name)(uint32_t reason);
};

extern const struct vendor *vendor;
extern const struct vcpu_ops *vcpu_ops;

extern const struct vendor vmx_vendor; /* vmx/vmx.c, named only by boot/main.c */
extern const struct vendor svm_vendor; /* svm/svm.c */
