/*
 * A virtual-APIC page and what goes with it (SDM volume 3, 30.1, 30.6): the memory that the CPU, the back end and the LAPIC
 * model share where the CPU delivers a guest's interrupts itself (CAP_APICV). The page then holds ISR, IRR, TMR, TPR and
 * PPR, and the model keeps none of them.
 *
 * Other cores never touch IRR. They post requests, which the CPU or the back end moves to IRR. A level-triggered interrupt
 * takes a way of its own: before it may be delivered, the CPU must know that its EOI exits, which takes an exit.
 */
#pragma once

#include "core/lib/types.h"

/*
 * Off and trapped: the CPU delivers nothing; trapped: the registers are at the usual address, and all accesses exit. Moved: in
 * xAPIC mode, but not at the usual address. Interrupts are delivered, register accesses are the model's.
 */
enum vapic_mode { VAPIC_OFF, VAPIC_TRAPPED, VAPIC_XAPIC, VAPIC_X2APIC, VAPIC_MOVED };

/* Registers by number, the MMIO offset / 16. */
#define VAPIC_REGS 0x40
#define VAPIC_TPR  0x08
#define VAPIC_PPR  0x0a
#define VAPIC_ISR  0x10 /* eight each */
#define VAPIC_TMR  0x18
#define VAPIC_IRR  0x20

struct vapic {
    uint32_t page[PAGE_SIZE / 4]; /* register r is page[4 * r] */
    /* The posted-interrupt descriptor (table 30-1). Bochs 3.0 wants it page-aligned, CPUs are content with 64 bytes. */
    uint64_t requests[4];
    uint64_t control; /* VAPIC_ON */
    uint64_t reserved[3];
    /* Ours alone. */
    uint64_t late[4]; /* level-triggered requests */
    uint32_t stale;   /* VAPIC_STALE_...; set from any core */
    enum vapic_mode mode;
    bool manual; /* the CPU delivers nothing: the model does, and the back end injects; read by any core */
    uint64_t accepted; /* requests that weren't waiting already, since the vCPU was made; from any core */
};
_Static_assert(offsetof(struct vapic, requests) == PAGE_SIZE, "the descriptor begins a page");
_Static_assert(offsetof(struct vapic, late) == PAGE_SIZE + 64, "SDM table 30-1");

/* What the back end has to do before the next entry: */
#define VAPIC_STALE_STATUS   BIT(0) /* IRR or ISR changed under the guest interrupt status */
#define VAPIC_STALE_CONTROLS BIT(1) /* the mode did, or the vectors whose EOI exits */

#define VAPIC_ON BIT(0) /* a notification is on its way or not needed: requests wait */

/*
 * A request that is always there, in `requests` or in IRR: its class is 0, so it is never delivered. A notification may
 * come when the back end has already moved what it was about. CPUs then leave RVI as it is (30.6); Bochs 3.0 takes an empty
 * IRR for vector 255.
 */
#define VAPIC_REST    BIT(1)
#define VAPIC_ILLEGAL MASK(16) /* no vector: what guests aren't shown of the first word of IRR */

static inline uint32_t vapic_get(const struct vapic *a, uint32_t reg)
{
    return __atomic_load_n(&a->page[4 * reg], __ATOMIC_RELAXED);
}

static inline void vapic_set(struct vapic *a, uint32_t reg, uint32_t value)
{
    __atomic_store_n(&a->page[4 * reg], value, __ATOMIC_RELAXED);
}

/*
 * Has the back end to act before it enters the guest? It looks when the run loop enters, and when vcpu->look is set: who
 * makes this true sees to that behind it. A notification of CAP_POSTED does as well, which the CPU acts on by itself.
 */
static inline bool vapic_waits(const struct vapic *a)
{
    return (__atomic_load_n(&a->control, __ATOMIC_RELAXED) & VAPIC_ON) |
           __atomic_load_n(&a->stale, __ATOMIC_RELAXED);
}

static inline void vapic_touch(struct vapic *a, uint32_t stale)
{
    __atomic_fetch_or(&a->stale, stale, __ATOMIC_SEQ_CST);
}

/* From any core. True: the vCPU has to be notified; for one that is level-triggered, it has to leave the guest. */
bool vapic_post(struct vapic *a, uint8_t vector, bool level_triggered) MUST_CHECK;

/* All others by the core that runs the vCPU, outside of the guest. */
void vapic_reset(struct vapic *a);
void vapic_set_mode(struct vapic *a, enum vapic_mode mode);
/* Moves what was posted to IRR. */
void vapic_collect(struct vapic *a);
/* The same, but for level-triggered interrupts. Returns the highest vector that it moved, or 0. */
uint8_t vapic_collect_edges(struct vapic *a);
/* The guest interrupt status that belongs to IRR and ISR (SDM 25.4.2): RVI, and SVI in the upper byte. */
uint16_t vapic_status(const struct vapic *a);
/* The vectors whose EOI exits. */
void vapic_eoi_exits(const struct vapic *a, uint64_t map[4]);
/* PPR as it follows from TPR and ISR. */
uint8_t vapic_ppr(const struct vapic *a);
/* Is there an interrupt for which HLT ends? */
bool vapic_wakes(struct vapic *a);
/* Only if manual: IRR -> ISR. */
void vapic_accept(struct vapic *a, uint8_t vector);
/* Takes the highest vector out of ISR and returns it; 0 if there is none. */
uint8_t vapic_eoi(struct vapic *a);
bool vapic_is_level(const struct vapic *a, uint8_t vector);
