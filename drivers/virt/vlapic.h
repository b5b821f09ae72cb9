/*
 * The local APIC (SDM volume 3, chapter 11) in xAPIC and x2APIC mode, one per vCPU. Version 0x14, six LVT entries, no
 * EOI-broadcast suppression, no CMCI. The page stays at 0xFEE00000: a base that a guest writes is only read back.
 *
 * All but vlapic_post and vlapic_accepts is called by the core that runs the vCPU and needs no lock. vlapic_post sets
 * IRR with atomic ORs from any core. What may be taken is found by peek, and moved to ISR by accept (peek, then commit).
 *
 * Where the CPU delivers interrupts itself, config.vapic says so: IRR, ISR, TMR, TPR and PPR are then there, the model's own
 * stay empty, so that there is nothing to peek at, and the other registers are shown there for reads that don't exit.
 *
 * The timer's input clock is the crystal that CPUID 15H tells of, at VLAPIC_HZ: a whole number of ns a tick, so that all
 * conversions are exact. Periodic ticks that nobody took are not repeated, and never come faster than VLAPIC_MIN_PERIOD.
 */
#pragma once

#include "core/bus.h"
#include "core/timer.h"
#include "core/vapic.h"
#include "drivers/virt/apic.h"

#define VLAPIC_TICK_NS    40
#define VLAPIC_HZ         (NS_PER_SEC / VLAPIC_TICK_NS)
#define VLAPIC_MIN_PERIOD 100000 /* ns: a slow machine has to get a handler done in it */
#define VLAPIC_BASE       0xfee00000ull

/* IA32_APIC_BASE */
#define APIC_BASE_BSP  BIT(8)
#define APIC_BASE_EXTD BIT(10)
#define APIC_BASE_EN   BIT(11)

enum vlapic_lvt { LVT_TIMER, LVT_THERMAL, LVT_PMC, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVT_COUNT };

struct vlapic_config {
    uint32_t id;
    bool bsp;
    bool x2apic, tsc_deadline;  /* offered to the guest */
    uint32_t phys_bits;         /* of the guest's physical addresses */
    bool *renamed;              /* set when the guest gives a LAPIC another id; the VM's */
    struct timer_queue *timers; /* the vCPU's own: runs without a lock */
    uint64_t (*tsc)(void *ctx); /* the guest's */
    /* Has vlapic_deadline_due called as soon as the guest's TSC is there, once; UINT64_MAX: not any more. */
    void (*alarm)(void *ctx, uint64_t tsc);
    /* Everything that goes to another LAPIC, and NMI, SMI, INIT and ExtINT to this one. */
    void (*send)(void *ctx, const struct apic_message *message);
    /* The guest ended a level-triggered interrupt: for the IOAPIC. */
    void (*eoi)(void *ctx, uint8_t vector);
    /* The vCPU must look: a bit of IRR was newly set, perhaps by another core, or one that had to wait may be taken now. */
    void (*kick)(void *ctx);
    /* Instead of kick, for what the CPU can take without leaving the guest; only with vapic. */
    void (*notify)(void *ctx);
    struct vapic *vapic; /* NULL: all is done here */
    void *ctx;
};

struct vlapic {
    uint64_t irr[4]; /* set by any core; vector v is bit v % 64 of word v / 64 */
    uint64_t isr[4];
    uint64_t tmr[4]; /* as IRR */
    uint8_t tpr, ppr;
    uint8_t serviced; /* the highest vector in ISR, 0 if none */
    bool accepting;   /* enabled in APIC_BASE and SVR: read by any core */
    uint32_t id;      /* as the present mode shows it, shifted down: read by any core */
    uint32_t ldr;     /* xAPIC: 8 bits, shifted down; x2APIC: 32 bits */
    uint32_t dfr, svr;
    uint32_t esr, errors; /* as read; collected since the last write of ESR (any core) */
    uint32_t icr_low, icr_high;
    uint32_t lvt[LVT_COUNT];
    uint32_t lint_levels; /* of the two pins */
    uint64_t base;        /* IA32_APIC_BASE */
    /* The timer. */
    uint32_t initial, divide; /* divide: the register */
    bool ended;               /* a single count has come to 0 and stays there, in whatever mode */
    uint64_t start;           /* when counting from initial began; modulo 2^64 */
    uint64_t deadline;        /* IA32_TSC_DEADLINE, 0 if disarmed */
    struct timer timer;       /* for counting; TSC deadlines are config.alarm's */
    uint8_t *eoi_flag;        /* in guest memory; NULL: EOI is always a write */
    bool eoi_left_out;        /* bit 0 of it was set for the interrupt that is `serviced` */
    struct vlapic_config config;
};

/* Power-on: enabled in xAPIC mode, software-disabled, all LVT entries masked. */
void vlapic_init(struct vlapic *l, const struct vlapic_config *config);
void vlapic_reset(struct vlapic *l);
/* INIT (SDM 11.4.7.3): as reset, but the mode and the id stay. */
void vlapic_receive_init(struct vlapic *l);
/* What a BIOS leaves for a kernel that is started directly: software-enabled, LINT0 = ExtINT, LINT1 = NMI. */
void vlapic_virtual_wire(struct vlapic *l);

/* The registers, by MMIO offset / 16 or MSR - 0x800, for which the handlers look at access->now: SVR, the timer's. */
#define VLAPIC_TIMED (BIT(0x0f) | BIT(0x32) | BIT(0x38) | BIT(0x39) | BIT(0x3e))
/* Handlers: one 4K page, unclaimed unless in xAPIC mode; and 256 MSRs, BUS_FAULT unless in x2APIC mode. */
enum bus_result vlapic_mmio(void *l, struct bus_access *access);
enum bus_result vlapic_msr(void *l, struct bus_access *access);
/* Writes IA32_APIC_BASE; false if that takes #GP (SDM 11.12.5). Read l->base. */
bool vlapic_set_base(struct vlapic *l, uint64_t value) MUST_CHECK;

/* A fixed or lowest-priority interrupt arrives. */
void vlapic_post(struct vlapic *l, uint8_t vector, bool level_triggered);
/* The vector that the vCPU would take now, or -1; changes nothing. */
int vlapic_peek(const struct vlapic *l);
/* It was injected: IRR -> ISR. */
void vlapic_accept(struct vlapic *l, uint8_t vector);
/* Is it enabled, in APIC_BASE and by software? Any core. */
static inline bool vlapic_accepting(const struct vlapic *l)
{
    return __atomic_load_n(&l->accepting, __ATOMIC_RELAXED);
}
/* The lowest-priority arbitration's measure: the smaller, the better. Any core. */
static inline uint32_t vlapic_priority(const struct vlapic *l)
{
    if (UNLIKELY(l->config.vapic))
        return vapic_ppr(l->config.vapic);
    return __atomic_load_n(&l->ppr, __ATOMIC_RELAXED);
}
/* Is a message meant for this LAPIC (SDM 11.6.2, 11.12.9, 11.12.10)? Shorthands excepted. Any core. */
bool vlapic_accepts(const struct vlapic *l, uint32_t dest, enum apic_dest_mode mode);

static inline uint8_t vlapic_tpr(const struct vlapic *l)
{
    return UNLIKELY(l->config.vapic) ? (uint8_t)vapic_get(l->config.vapic, VAPIC_TPR) : l->tpr;
}
/* CR8 is bits 7-4 of TPR. */
static inline uint8_t vlapic_cr8(const struct vlapic *l)
{
    return vlapic_tpr(l) >> 4;
}
void vlapic_set_cr8(struct vlapic *l, uint8_t cr8);
void vlapic_eoi(struct vlapic *l);

/*
 * A guest that is told so leaves out its EOI, which exits, if it finds bit 0 of a byte set when it clears it. It is set for an
 * edge-triggered interrupt behind which none waits (KVM's MSR_KVM_PV_EOI_EN). Whether it was cleared is looked at only when
 * that matters: settling, by the core that runs the vCPU, comes before peek.
 */
void vlapic_set_eoi_flag(struct vlapic *l, uint8_t *flag);
void vlapic_settle_eoi(struct vlapic *l);
static inline void vlapic_settle(struct vlapic *l)
{
    if (UNLIKELY(l->eoi_left_out))
        vlapic_settle_eoi(l);
}

/* With vapic: does the CPU deliver, or vlapic_page_peek and vapic_accept? Without, nothing changes. By the core that runs the vCPU. */
void vlapic_set_manual(struct vlapic *l, bool manual);
int vlapic_page_peek(struct vapic *a);
/* Only with vapic: the CPU wrote that register of the page for the guest, and left it; the CPU ended an interrupt. */
void vlapic_written(struct vlapic *l, uint32_t offset, uint64_t now);
void vlapic_ended(struct vlapic *l, uint8_t vector);

/* The pins LINT0 and LINT1 (line 0, 1): an irq_set. */
void vlapic_set_lint(void *l, uint32_t line, bool level);
/* Does a PIC on LINT0 reach the CPU? Also if the LAPIC is disabled: INTR then goes straight through. */
bool vlapic_takes_pic(const struct vlapic *l);

/*
 * IA32_TSC_DEADLINE; tsc: the guest's. Writes do nothing unless the LVT timer is in that mode; reads give 0 after the timer fired.
 */
uint64_t vlapic_deadline(struct vlapic *l, uint64_t tsc);
void vlapic_set_deadline(struct vlapic *l, uint64_t deadline, uint64_t tsc);
void vlapic_deadline_due(struct vlapic *l);
/* The guest's TSC has made a leap (IA32_TSC_ADJUST or a write of the TSC). */
void vlapic_tsc_moved(struct vlapic *l);
