#include "core/x86/irq.h"

#include "core/lib/error.h"
#include "core/lib/lock.h"
#include "core/lib/log.h"
#include "core/x86/lapic.h"
#include "core/x86/percpu.h"

struct irq_slot {
    irq_handler handler;
    void *ctx;
    bool reported; /* an interrupt that nobody wanted was logged */
};

static struct irq_slot slots[256];
static struct lock slots_lock = LOCK_INIT; /* guards registering; dispatch reads without it */

static bool vector_ours(uint32_t vector)
{
    return vector >= VECTOR_DEVICE && vector < VECTOR_SPURIOUS;
}

static bool slot_claim(uint32_t vector, irq_handler handler, void *ctx)
{
    struct irq_slot *slot = &slots[vector];

    if (slot->handler)
        return false;
    slot->ctx = ctx;
    __atomic_store_n(&slot->handler, handler, __ATOMIC_RELEASE);
    return true;
}

int irq_register(uint32_t vector, irq_handler handler, void *ctx)
{
    bool claimed;

    if (!vector_ours(vector))
        return ERR_RANGE;
    lock_take(&slots_lock);
    claimed = slot_claim(vector, handler, ctx);
    lock_drop(&slots_lock);
    return claimed ? 0 : ERR_BUSY;
}

int irq_alloc(irq_handler handler, void *ctx)
{
    uint32_t vector = VECTOR_DEVICE;

    lock_take(&slots_lock);
    while (vector < VECTOR_TIMER && !slot_claim(vector, handler, ctx))
        vector++;
    lock_drop(&slots_lock);
    return vector < VECTOR_TIMER ? (int)vector : ERR_NOMEM;
}

void irq_dispatch(uint32_t vector)
{
    struct irq_slot *slot = &slots[vector];
    irq_handler handler = __atomic_load_n(&slot->handler, __ATOMIC_ACQUIRE);

    if (!vector_ours(vector))
        return;
    this_cpu()->interrupts++;
    if (handler) {
        handler(slot->ctx);
    } else if (!slot->reported) {
        slot->reported = true;
        log_warn("core %u: interrupt 0x%x came, and nobody handles it", this_cpu()->index, vector);
    }
    lapic_eoi();
}
