/* A virtual CPU: the state that policy works on. What only the hardware needs is in the back end's own struct, `arch`. */
#pragma once

#include "core/bus.h"
#include "core/cpuid_ready.h"
#include "core/event.h"
#include "core/lib/types.h"
#include "core/pv.h"
#include "core/sched.h"
#include "core/stats.h"
#include "core/timer.h"
#include "core/trace_ring.h"

struct sites;
struct vapic;
struct vm;

enum vcpu_reg {
    REG_RAX,
    REG_RCX,
    REG_RDX,
    REG_RBX,
    REG_RSP,
    REG_RBP,
    REG_RSI,
    REG_RDI,
    REG_R8,
    REG_R9,
    REG_R10,
    REG_R11,
    REG_R12,
    REG_R13,
    REG_R14,
    REG_R15,
    REG_GPR_COUNT,
    REG_RIP = REG_GPR_COUNT,
    REG_RFLAGS,
    REG_CR0,
    REG_CR2,
    REG_CR3,
    REG_CR4,
    REG_EFER,
    REG_DR6,
    REG_DR7,
    REG_COUNT,
};

enum vcpu_seg {
    SEG_ES,
    SEG_CS,
    SEG_SS,
    SEG_DS,
    SEG_FS,
    SEG_GS,
    SEG_LDTR,
    SEG_TR,
    SEG_GDTR,
    SEG_IDTR,
    SEG_COUNT
};

/* Attributes as in a descriptor's second dword, bits 8-23 shifted down (VMX access rights; SVM packs G,D,L,AVL lower). */
struct vcpu_segment {
    uint64_t base;
    uint32_t limit; /* in bytes */
    uint16_t selector;
    uint16_t attr;
};
#define SEG_ATTR_TYPE      0x000f
#define SEG_ATTR_S         BIT(4)
#define SEG_ATTR_DPL(attr) ((attr) >> 5 & 3)
#define SEG_ATTR_P         BIT(7)
#define SEG_ATTR_AVL       BIT(12)
#define SEG_ATTR_L         BIT(13)
#define SEG_ATTR_DB        BIT(14)
#define SEG_ATTR_G         BIT(15)
/* A segment with P clear is what VMX calls unusable. */

enum vcpu_state {
    VCPU_STOPPED, /* waits for a start-up IPI */
    VCPU_RUNNING,
    VCPU_HALTED, /* in HLT: woken by event_wakes() */
};

#define VCPU_TRACE   64
#define NO_APIC_PAGE UINT64_MAX

struct vcpu {
    uint64_t gpr[REG_GPR_COUNT]; /* must stay first (vendor assembly). [REG_RSP] isn't valid: use vcpu_get */
    uint64_t rip;                /* valid after each exit, written back at entry */
    uint8_t insn_len;            /* of the instruction that exited; 0: the back end doesn't know */
    bool
        insn_plain; /* it is neither single-stepped nor in an interrupt shadow: its end is a move of RIP by insn_len, which is known */
    uint8_t state;  /* enum vcpu_state */
    union {
        struct {
            uint8_t look;      /* LOOK_...: something may have to be done before the next entry */
            uint8_t attention; /* the same within the back end; its own bits */
        };
        uint16_t before_entry; /* both at once */
    };
    uint32_t index; /* in its VM; also its APIC id */
    struct vm *vm;
    void *arch; /* the back end's struct */
    struct vcpu_events events;
    const struct irqchip_ops *irqchip;
    void *irqchip_ctx;
    struct vapic *vapic;   /* with CAP_APICV: the CPU delivers the LAPIC's interrupts; else NULL */
    uint64_t apic_base;    /* IA32_APIC_BASE, as the LAPIC has it */
    gpa_t apic_page;       /* where this vCPU's LAPIC registers are, or NO_APIC_PAGE */
    bus_handler apic_mmio; /* its page; takes no lock */
    bus_handler apic_msr;  /* its x2APIC registers; neither */
    uint64_t apic_timed;   /* a bit for each of its registers that has to know the time */
    void *apic_ctx;
    struct timer_queue timers;  /* of the LAPIC; deadlines in the VM's ns */
    uint64_t wake_ns, wake_tsc; /* when the first timer is due, VM time and host TSC; kept by core/run.c */
    uint64_t alarm;             /* host TSC of vcpu_set_alarm; UINT64_MAX: none */
    struct timer wakeup; /* ends its HLT while no core has it; in the queue of the core that had it last */
    struct sched_entity sched;
    uint32_t signals;    /* INIT and start-up IPIs that came in: set from any core, taken by its own */
    bool parked;         /* stopped or paused, its registers are in memory: no kick wakes it */
    uint64_t tsc_adjust; /* IA32_TSC_ADJUST; guest TSC = host TSC + vm->tsc_offset + tsc_adjust */
    uint64_t xcr0;       /* the guest's */
    uint64_t xss;
    void *fpu; /* save area of the guest's FPU/XSAVE state (core/x86/fpu.h) */
    struct {
        uint64_t pat, misc_enable, mtrr_def, mtrr_fixed[11], mtrr_var[16], bios_sign, spec_ctrl, tsc_aux;
    } msr; /* MSRs that live in software alone (core/msr.c) */
    struct vcpu_pv pv;
    uint8_t msr_row;      /* where core/msr.c found the last one */
    uint32_t pool_frames; /* what it costs of the pool, this struct included */
    struct {
        uint32_t msr;
        const uint64_t *value;
    } msr_kept;          /* the last one read that is just a field of this struct */
    struct sites *sites; /* instructions that access devices, remembered; NULL: none are */
    uint64_t exit_bytes; /* sizeof(struct trace_exit) for each exit that there was: vcpu_exits */
    uint32_t trace_who;  /* in events of core/trace.h */
    struct stats stats;
    struct cpuid_ready cpuid;
    struct trace_exit trace[VCPU_TRACE]; /* of exit n in [n % VCPU_TRACE] */
};

/* Register access by number; RSP and control registers go through the back end. CR values are the guest's view. */
uint64_t vcpu_get(struct vcpu *vcpu, enum vcpu_reg reg);
void vcpu_set(struct vcpu *vcpu, enum vcpu_reg reg, uint64_t value);

/* How many Keel has injected or, where the CPU delivers them, put into its LAPIC. */
uint64_t vcpu_interrupts(const struct vcpu *vcpu);

static inline void vcpu_set_rip(struct vcpu *vcpu, uint64_t rip)
{
    vcpu->rip = rip;
}

#define LOOK_EVENTS BIT(0) /* core/event.c has something to deliver, perhaps: not a matter for the run loop */
#define LOOK_POSTED BIT(2) /* vcpu->vapic: a matter for the back end alone */
#define LOOK_SHORT  (LOOK_EVENTS | LOOK_POSTED)
#define LOOK_ALL    (LOOK_EVENTS | BIT(1))

/*
 * Has the run loop look at all that a vCPU may have to do: events, signals, timers, a stop. Without it the vCPU goes straight
 * back into the guest, so that whoever adds such work says so, behind adding it, from any core; vcpu_kick does it too.
 */
static inline void vcpu_look(struct vcpu *vcpu)
{
    __atomic_store_n(&vcpu->look, (uint8_t)LOOK_ALL, __ATOMIC_RELEASE);
}

/* The same for events alone, by the core that runs the vCPU. */
static inline void vcpu_look_events(struct vcpu *vcpu)
{
    __atomic_or_fetch(&vcpu->look, (uint8_t)LOOK_EVENTS, __ATOMIC_RELEASE);
}

/* The same for what was posted to its vapic. */
static inline void vcpu_look_posted(struct vcpu *vcpu)
{
    __atomic_or_fetch(&vcpu->look, (uint8_t)LOOK_POSTED, __ATOMIC_RELEASE);
}

/* event_deliver if LOOK_EVENTS is set and nothing that needs the run loop; LOOK_SHORT is gone then. */
static inline void vcpu_attend_events(struct vcpu *vcpu)
{
    uint8_t look = __atomic_load_n(&vcpu->look, __ATOMIC_RELAXED);

    if (!look || look & ~LOOK_SHORT)
        return;
    __atomic_and_fetch(&vcpu->look, (uint8_t)~LOOK_SHORT, __ATOMIC_SEQ_CST);
    if (look & LOOK_EVENTS)
        event_deliver(vcpu);
}

/* Neither the run loop nor the back end has anything to look at. */
static inline bool vcpu_unhindered(const struct vcpu *vcpu)
{
    return !__atomic_load_n(&vcpu->before_entry, __ATOMIC_RELAXED);
}

/* How many exits there were. */
static inline uint64_t vcpu_exits(const struct vcpu *vcpu)
{
    return vcpu->exit_bytes / sizeof(struct trace_exit);
}

/* The entry of the trace that the exit which is being taken fills in. Every exit pays for this: bytes are the entry's place at once. */
static inline struct trace_exit *vcpu_trace_next(struct vcpu *vcpu)
{
    uint64_t at = vcpu->exit_bytes;

    vcpu->exit_bytes = at + sizeof(struct trace_exit);
    return (struct trace_exit *)((uint8_t *)vcpu->trace + at % sizeof vcpu->trace);
}

/* That of the last exit. */
static inline struct trace_exit *vcpu_trace_last(struct vcpu *vcpu)
{
    return (struct trace_exit *)((uint8_t *)vcpu->trace +
                                 (vcpu->exit_bytes - sizeof(struct trace_exit)) % sizeof vcpu->trace);
}

/* The same, 1: of the last one, 2: of the one before and so on. */
static inline const struct trace_exit *vcpu_trace_back(const struct vcpu *vcpu, uint64_t back)
{
    return &vcpu->trace[(vcpu_exits(vcpu) - back) % VCPU_TRACE];
}

/* What vcpu_advance does when there is more to do than to move RIP, or the length isn't known. */
void vcpu_advance_any(struct vcpu *vcpu);
/*
 * Moves RIP past the instruction that exited, ends an interrupt shadow, and raises #DB if the guest single-steps: the one
 * place where RIP advances. Uses insn_len, or the decoder when that is 0.
 */
static inline void vcpu_advance(struct vcpu *vcpu)
{
    uint64_t rip = vcpu->rip + vcpu->insn_len;

    /* Across 4 GiB, the mode decides where RIP goes. */
    if (LIKELY(vcpu->insn_plain && (uint32_t)rip >= vcpu->insn_len))
        vcpu_set_rip(vcpu, rip);
    else
        vcpu_advance_any(vcpu);
}
/* The same for an instruction that has changed RFLAGS, which were these before: what sets TF isn't stepped itself. */
void vcpu_advance_begun(struct vcpu *vcpu, uint64_t rflags);
/* The end of an instruction that has set RIP itself. */
void vcpu_end_insn(struct vcpu *vcpu, uint64_t rflags);
/* The same behind MOV SS and POP SS, of length insn_len: the next instruction comes before any interrupt or trap. */
void vcpu_advance_mov_ss(struct vcpu *vcpu);
/* INIT and start-up IPIs (SDM 9.4), from any core. A start-up IPI counts only for a vCPU that waits for one. */
void vcpu_signal_init(struct vcpu *vcpu);
void vcpu_signal_startup(struct vcpu *vcpu, uint8_t vector);
static inline bool vcpu_signalled(const struct vcpu *vcpu)
{
    return __atomic_load_n(&vcpu->signals, __ATOMIC_RELAXED);
}
/* Acts on them; by the core that runs the vCPU, its registers not being loaded. */
void vcpu_take_signals(struct vcpu *vcpu);
/* Registers as after a reset (SDM 10.1.1); `init`: as after INIT, which leaves MSRs and the FPU alone. */
int vcpu_reset(struct vcpu *vcpu, bool init) MUST_CHECK;
/* Tells a vCPU, from any core, to look at its events: leaves the guest or wakes it from HLT. */
void vcpu_kick(struct vcpu *vcpu);
/* The same for a timer of a device, which others may have armed: if it wakes, who runs there now keeps its turn (SCHED_TURN, SCHED_BURST). */
void vcpu_kick_timers(struct vcpu *vcpu);
/* The same for an interrupt that may be deliverable, and no other work: the core that runs the vCPU itself has less to do then. */
void vcpu_kick_events(struct vcpu *vcpu);
/* The same for what was posted to its vapic: with CAP_POSTED it need not leave the guest. */
void vcpu_notify(struct vcpu *vcpu);
/* The guest's TSC. */
uint64_t vcpu_tsc(const struct vcpu *vcpu);
/* irqchip->deadline_due is called when the guest's TSC has come to that, and wakes the vCPU for it; UINT64_MAX: never. By its own core. */
void vcpu_set_alarm(struct vcpu *vcpu, uint64_t tsc);
