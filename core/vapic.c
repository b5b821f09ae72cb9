#include "core/vapic.h"

#include "core/lib/string.h"

#define CLASS 0xf0

/* Sets in the page are eight registers of 32 bits, those beside it four words of 64. */

static uint32_t *set_register(struct vapic *a, uint32_t set, uint8_t vector)
{
    return &a->page[4 * (set + vector / 32)];
}

/* The highest vector in a set of the page, or 0. */
static uint8_t set_highest(const struct vapic *a, uint32_t set)
{
#pragma GCC unroll 8
    for (uint32_t i = 8; i-- > 0;) {
        uint32_t word = vapic_get(a, set + i);

        if (word)
            return (uint8_t)(i * 32 + 31 - (uint32_t)__builtin_clz(word));
    }
    return 0;
}

bool vapic_is_level(const struct vapic *a, uint8_t vector)
{
    return vapic_get(a, VAPIC_TMR + vector / 32) & BIT(vector % 32);
}

/* The CPU never writes TMR: it is ours, and any core's. */
static void tmr_set(struct vapic *a, uint8_t vector, bool level_triggered)
{
    uint32_t *word = set_register(a, VAPIC_TMR, vector), bit = (uint32_t)BIT(vector % 32);

    if (vapic_is_level(a, vector) == level_triggered)
        return;
    if (level_triggered)
        __atomic_fetch_or(word, bit, __ATOMIC_RELAXED);
    else
        __atomic_fetch_and(word, ~bit, __ATOMIC_RELAXED);
}

/* True if it wasn't there. How often the CPU then delivers one isn't told to anybody: they are counted here. */
static ALWAYS_INLINE bool request(struct vapic *a, uint64_t requests[4], uint8_t vector)
{
    uint64_t bit = BIT(vector % 64);

    if (__atomic_fetch_or(&requests[vector / 64], bit, __ATOMIC_SEQ_CST) & bit)
        return false;
    __atomic_fetch_add(&a->accepted, 1, __ATOMIC_RELAXED);
    return true;
}

bool vapic_post(struct vapic *a, uint8_t vector, bool level_triggered)
{
    tmr_set(a, vector, level_triggered);
    if (UNLIKELY(level_triggered)) {
        bool new = request(a, a->late, vector);

        vapic_touch(a, VAPIC_STALE_CONTROLS);
        return new;
    }
    request(a, a->requests, vector);
    return !(__atomic_fetch_or(&a->control, VAPIC_ON, __ATOMIC_SEQ_CST) & VAPIC_ON);
}

void vapic_reset(struct vapic *a)
{
    memset(a->page, 0, sizeof a->page);
    for (uint32_t i = 0; i < ARRAY_SIZE(a->requests); i++) {
        __atomic_store_n(&a->requests[i], 0, __ATOMIC_RELAXED);
        __atomic_store_n(&a->late[i], 0, __ATOMIC_RELAXED);
    }
    __atomic_store_n(&a->requests[0], VAPIC_REST, __ATOMIC_RELAXED);
    __atomic_store_n(&a->control, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&a->stale, VAPIC_STALE_STATUS | VAPIC_STALE_CONTROLS, __ATOMIC_RELEASE);
}

void vapic_set_mode(struct vapic *a, enum vapic_mode mode)
{
    a->mode = mode;
    vapic_touch(a, VAPIC_STALE_CONTROLS);
}

/* Returns the highest vector that is moved, or 0. */
static uint8_t word_move(struct vapic *a, uint64_t *requests, uint32_t i)
{
    uint64_t stays = i == 0 ? VAPIC_ILLEGAL : 0;
    uint64_t new = __atomic_fetch_and(&requests[i], stays, __ATOMIC_ACQUIRE) & ~stays;

    a->page[4 * (VAPIC_IRR + 2 * i)] |= (uint32_t) new;
    a->page[4 * (VAPIC_IRR + 2 * i + 1)] |= (uint32_t)(new >> 32);
    return (uint8_t)(i * 64 + 63 - (uint32_t)__builtin_clzll(new | 1));
}

static inline uint8_t requests_move(struct vapic *a, uint64_t *requests)
{
    uint8_t highest = 0;

#pragma GCC unroll 4
    for (uint32_t i = 0; i < ARRAY_SIZE(a->requests); i++) {
        uint64_t stays = i == 0 ? VAPIC_ILLEGAL : 0;

        if (UNLIKELY(__atomic_load_n(&requests[i], __ATOMIC_RELAXED) & ~stays))
            highest = word_move(a, requests, i);
    }
    return highest;
}

static void rest_return(struct vapic *a)
{
    uint32_t *word = &a->page[4 * VAPIC_IRR];

    if (!(*word & VAPIC_ILLEGAL))
        return;
    *word &= ~(uint32_t)VAPIC_ILLEGAL;
    __atomic_fetch_or(&a->requests[0], VAPIC_REST, __ATOMIC_RELAXED);
}

/* ON goes first: who posts from here on notifies again. */
uint8_t vapic_collect_edges(struct vapic *a)
{
    uint8_t highest;

    __atomic_fetch_and(&a->control, ~VAPIC_ON, __ATOMIC_SEQ_CST);
    highest = requests_move(a, a->requests);
    rest_return(a);
    return highest;
}

void vapic_collect(struct vapic *a)
{
    vapic_collect_edges(a);
    requests_move(a, a->late);
}

uint16_t vapic_status(const struct vapic *a)
{
    return (uint16_t)(set_highest(a, VAPIC_ISR) << 8 | set_highest(a, VAPIC_IRR));
}

void vapic_eoi_exits(const struct vapic *a, uint64_t map[4])
{
    for (uint32_t i = 0; i < 4; i++)
        map[i] = vapic_get(a, VAPIC_TMR + 2 * i) | (uint64_t)vapic_get(a, VAPIC_TMR + 2 * i + 1) << 32;
}

uint8_t vapic_ppr(const struct vapic *a)
{
    uint8_t tpr = (uint8_t)vapic_get(a, VAPIC_TPR), serviced = set_highest(a, VAPIC_ISR);

    return (tpr & CLASS) >= (serviced & CLASS) ? tpr : serviced & CLASS;
}

static uint8_t requests_highest(const uint64_t requests[4])
{
#pragma GCC unroll 4
    for (uint32_t i = 4; i-- > 0;) {
        uint64_t stays = i == 0 ? VAPIC_ILLEGAL : 0,
                 word = __atomic_load_n(&requests[i], __ATOMIC_RELAXED) & ~stays;

        if (word)
            return (uint8_t)(i * 64 + 63 - (uint32_t)__builtin_clzll(word));
    }
    return 0;
}

static bool can_interrupt(const struct vapic *a, uint8_t vector)
{
    return vector && (vector & CLASS) > (vapic_ppr(a) & CLASS);
}

/*
 * What wakes is left to the next entry to be moved. What doesn't is moved here, so that the next one that is posted is notified
 * of, and isn't in RVI then.
 */
bool vapic_wakes(struct vapic *a)
{
    if (vapic_waits(a)) {
        if (can_interrupt(a, requests_highest(a->requests)))
            return true;
        vapic_collect(a);
        vapic_touch(a, VAPIC_STALE_STATUS);
    }
    return can_interrupt(a, set_highest(a, VAPIC_IRR));
}

/* It is counted by who delivers it. */
void vapic_accept(struct vapic *a, uint8_t vector)
{
    *set_register(a, VAPIC_IRR, vector) &= ~(uint32_t)BIT(vector % 32);
    *set_register(a, VAPIC_ISR, vector) |= (uint32_t)BIT(vector % 32);
    __atomic_fetch_sub(&a->accepted, 1, __ATOMIC_RELAXED);
}

uint8_t vapic_eoi(struct vapic *a)
{
    uint8_t vector = set_highest(a, VAPIC_ISR);

    if (vector) {
        *set_register(a, VAPIC_ISR, vector) &= ~(uint32_t)BIT(vector % 32);
        vapic_touch(a, VAPIC_STALE_STATUS);
    }
    return vector;
}
