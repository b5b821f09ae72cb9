#include "core/sched.h"

#include "core/lib/panic.h"
#include "core/lib/string.h"

#define ENTITY(list) CONTAINER_OF(list, struct sched_entity, node)

void sched_init(struct sched *s)
{
    memset(s, 0, sizeof *s);
    list_init(&s->ready);
    list_init(&s->capped);
    for (uint32_t i = 0; i < CPU_MAX; i++)
        s->slice_end[i] = UINT64_MAX;
}

void sched_add_core(struct sched *s, uint32_t cpu)
{
    lock_take(&s->lock);
    cpuset_add(&s->online, cpu);
    s->cores = MAX(s->cores, cpu + 1);
    lock_drop(&s->lock);
}

void sched_entity_init(struct sched_entity *e, uint32_t weight, uint32_t cap, const struct cpuset *allowed)
{
    memset(e, 0, sizeof *e);
    list_init(&e->node);
    e->weight = weight;
    e->cap = cap;
    e->allowed = *allowed;
    e->loaded = SCHED_NOWHERE;
    e->cpu = SCHED_NOWHERE;
    e->sender = SCHED_NOWHERE;
}

static void sched_set_state(struct sched_entity *e, enum sched_state state)
{
    __atomic_store_n(&e->state, state, __ATOMIC_SEQ_CST);
}

static bool sched_may_run(const struct sched_entity *e, uint32_t cpu)
{
    return cpuset_has(&e->allowed, cpu) && (e->loaded == SCHED_NOWHERE || e->loaded == cpu);
}

/* -- caps: a budget per period of wall time --------------------------------------------------------------------- */

static uint64_t sched_budget(const struct sched_entity *e)
{
    return SCHED_PERIOD * e->cap / 100;
}

/* What was overdrawn is owed to the next periods, so that the average holds. */
static void sched_period(struct sched_entity *e, uint64_t now)
{
    uint64_t period = now / SCHED_PERIOD;
    uint64_t budget = (period - e->period) * sched_budget(e);

    e->used = e->used > budget ? e->used - budget : 0;
    e->period = period;
}

/* Holds it back if its budget is used up: `release` is when enough of it is paid back. */
static bool sched_capped(struct sched_entity *e, uint64_t now)
{
    uint64_t budget = sched_budget(e);

    e->release = 0;
    if (budget == 0)
        return false;
    sched_period(e, now);
    if (e->used < budget)
        return false;
    e->release = (e->period + e->used / budget) * SCHED_PERIOD;
    return true;
}

/* -- time and order --------------------------------------------------------------------------------------------- */

static uint64_t sched_weighted(const struct sched_entity *e, uint64_t ns)
{
    return ns * SCHED_WEIGHT / e->weight;
}

/* What a running entity has had since it was last counted. */
static uint64_t sched_due(const struct sched_entity *e, uint64_t now)
{
    return e->held || now <= e->charged ? 0 : now - e->charged;
}

/* Counts that against it. */
static void sched_charge(struct sched_entity *e, uint64_t now)
{
    uint64_t ns = sched_due(e, now);
    uint64_t scaled = ns * SCHED_WEIGHT + e->rest;

    if (e->held)
        return;
    e->charged = now;
    e->ran += ns;
    e->vruntime += scaled / e->weight;
    e->rest = scaled % e->weight;
    if (e->cap) {
        e->used += ns;
        sched_period(e, now);
    }
}

/* From the end, which is where one belongs that has just run. */
static void sched_insert_ready(struct sched *s, struct sched_entity *e)
{
    struct list *pos = s->ready.prev;

    while (pos != &s->ready && ENTITY(pos)->vruntime > e->vruntime)
        pos = pos->prev;
    list_insert(pos->next, &e->node);
}

static void sched_insert_capped(struct sched *s, struct sched_entity *e)
{
    struct list *pos = s->capped.prev;

    while (pos != &s->capped && ENTITY(pos)->release > e->release)
        pos = pos->prev;
    list_insert(pos->next, &e->node);
}

static void sched_enqueue(struct sched *s, struct sched_entity *e, uint64_t now)
{
    e->ready = now;
    if (sched_capped(e, now))
        sched_insert_capped(s, e);
    else
        sched_insert_ready(s, e);
    sched_set_state(e, SCHED_READY);
}

/* Those whose caps let them run again compete again. True if there was one. */
static bool sched_release(struct sched *s, uint64_t now)
{
    bool any = false;

    while (!list_empty(&s->capped) && ENTITY(s->capped.next)->release <= now) {
        struct sched_entity *e = ENTITY(s->capped.next);

        list_remove(&e->node);
        e->release = 0;
        sched_insert_ready(s, e);
        any = true;
    }
    return any;
}

/* When the first that this core may run is released. */
static uint64_t sched_next_release(const struct sched *s, uint32_t cpu)
{
    LIST_FOR_EACH(pos, &s->capped)
    if (sched_may_run(ENTITY(pos), cpu))
        return ENTITY(pos)->release;
    return UINT64_MAX;
}

/* The least vruntime of all that compete. It never falls, so that those who slept in turn don't outrun each other. */
static void sched_raise_floor(struct sched *s, uint64_t now)
{
    uint64_t least = UINT64_MAX;

    if (!list_empty(&s->ready))
        least = ENTITY(s->ready.next)->vruntime;
    for (uint32_t i = 0; i < s->cores; i++) {
        const struct sched_entity *r = s->running[i];

        if (r)
            least = MIN(least, r->vruntime + sched_weighted(r, sched_due(r, now)));
    }
    if (least != UINT64_MAX)
        s->floor = MAX(s->floor, least);
}

/*
 * One that had a core to itself, or slept, or had a cap, is far behind others: no credit against those that it shares a
 * core with now. What one slice of the next one in line adds to that one's time is no credit but the weights' doing.
 */
static void sched_limit_lag(struct sched *s, struct sched_entity *e, uint32_t cpu)
{
    for (struct list *pos = e->node.next; pos != &s->ready; pos = pos->next) {
        const struct sched_entity *next = ENTITY(pos);
        uint64_t limit = SCHED_LAG_MAX + sched_weighted(next, 2 * SCHED_SLICE);

        if (!cpuset_has(&next->allowed, cpu))
            continue;
        if (next->vruntime > e->vruntime + limit)
            e->vruntime = next->vruntime - limit;
        return;
    }
}

/* -- who is told about one that is ready ------------------------------------------------------------------------ */

static bool sched_idle(const struct sched *s, const struct sched_entity *e, uint32_t cpu)
{
    return !s->running[cpu] && cpuset_has(&s->online, cpu) && !cpuset_has(&s->told, cpu) &&
           sched_may_run(e, cpu);
}

/* An idle core that may run it, its last one if possible, and that wasn't told about another one already. */
static uint32_t sched_idle_core(const struct sched *s, const struct sched_entity *e)
{
    if (e->cpu != SCHED_NOWHERE && sched_idle(s, e, e->cpu))
        return e->cpu;
    for (uint32_t i = 0; i < s->cores; i++)
        if (sched_idle(s, e, i))
            return i;
    return SCHED_NOWHERE;
}

/* The core whose entity has had the most. */
static uint32_t sched_richest_core(const struct sched *s, const struct sched_entity *e, uint64_t now)
{
    uint32_t richest = SCHED_NOWHERE;
    uint64_t most = 0;

    for (uint32_t i = 0; i < s->cores; i++) {
        struct sched_entity *r = s->running[i];

        if (!r || !sched_may_run(e, i))
            continue;
        sched_charge(r, now);
        if (r->vruntime >= most) {
            most = r->vruntime;
            richest = i;
        }
    }
    return richest;
}

/* The core's slice ends at `end` at the latest. Is that news to it? */
static bool sched_cut_slice(struct sched *s, uint32_t cpu, uint64_t end)
{
    if (s->slice_end[cpu] <= end)
        return false;
    s->slice_end[cpu] = end;
    return true;
}

/* For how long one keeps its turn against another that is far behind. */
static uint64_t sched_grace(const struct sched_entity *running, const struct sched_entity *e)
{
    if (e->sender == SCHED_NOWHERE)
        return 0;
    return e->sender == running->cpu ? SCHED_BURST : SCHED_TURN;
}

/* When the one that runs has to make room for one that is ready, or looks after one that its cap holds back. */
static uint64_t sched_turn_end(const struct sched_entity *running, const struct sched_entity *e, uint64_t now)
{
    uint64_t turn = running->vruntime >= e->vruntime ? SCHED_GRAIN : SCHED_SLICE;

    if (e->release)
        return e->release;
    if (running->vruntime > e->vruntime + SCHED_GRAIN)
        turn = sched_grace(running, e);
    return MAX(now, running->started + turn);
}

/* An idle core takes it at once. A busy one is told if its slice ends earlier than it knows. */
static uint32_t sched_notify(struct sched *s, const struct sched_entity *e, uint64_t now)
{
    uint32_t cpu = sched_idle_core(s, e);

    if (cpu != SCHED_NOWHERE) {
        cpuset_add(&s->told, cpu);
        return cpu;
    }
    cpu = sched_richest_core(s, e, now);
    if (cpu != SCHED_NOWHERE && sched_cut_slice(s, cpu, sched_turn_end(s->running[cpu], e, now)))
        return cpu;
    return SCHED_NOWHERE;
}

/* -- transitions ------------------------------------------------------------------------------------------------ */

uint32_t sched_wake(struct sched *s, struct sched_entity *e, uint32_t sender, uint64_t now)
{
    uint32_t cpu = SCHED_NOWHERE;

    lock_take(&s->lock);
    if (e->state == SCHED_BLOCKED) {
        sched_raise_floor(s, now);
        e->vruntime = MAX(e->vruntime, s->floor - MIN(s->floor, SCHED_CREDIT));
        e->sender = sender;
        sched_enqueue(s, e, now);
        cpu = sched_notify(s, e, now);
    }
    lock_drop(&s->lock);
    return cpu;
}

static struct sched_entity *sched_take_off(struct sched *s, uint32_t cpu, uint64_t now)
{
    struct sched_entity *e = s->running[cpu];

    assert(e && e->state == SCHED_RUNNING);
    sched_raise_floor(s, now);
    sched_charge(e, now);
    s->running[cpu] = NULL;
    s->slice_end[cpu] = UINT64_MAX;
    return e;
}

/* The caller looks for another one next: nobody has to tell it. */
void sched_block(struct sched *s, uint32_t cpu, uint64_t now)
{
    lock_take(&s->lock);
    sched_set_state(sched_take_off(s, cpu, now), SCHED_BLOCKED);
    lock_drop(&s->lock);
}

void sched_preempt(struct sched *s, uint32_t cpu, uint64_t now)
{
    lock_take(&s->lock);
    sched_enqueue(s, sched_take_off(s, cpu, now), now);
    lock_drop(&s->lock);
}

void sched_hold(struct sched *s, uint32_t cpu, uint64_t now)
{
    struct sched_entity *e = s->running[cpu];

    if (!e)
        return;
    lock_take(&s->lock);
    sched_charge(e, now);
    e->held = true;
    lock_drop(&s->lock);
}

/* Its turn begins so much later. */
void sched_go_on(struct sched *s, uint32_t cpu, uint64_t now)
{
    struct sched_entity *e = s->running[cpu];

    if (!e)
        return;
    lock_take(&s->lock);
    e->started += now - MIN(now, e->charged);
    e->charged = now;
    e->held = false;
    lock_drop(&s->lock);
}

/* Steps behind the first in line, if that costs it no more than a slice. */
void sched_spin(struct sched *s, uint32_t cpu, uint64_t now)
{
    struct sched_entity *e = s->running[cpu];

    lock_take(&s->lock);
    sched_charge(e, now);
    LIST_FOR_EACH(pos, &s->ready)
    {
        uint64_t first = ENTITY(pos)->vruntime;

        if (!sched_may_run(ENTITY(pos), cpu))
            continue;
        if (first <= e->vruntime + sched_weighted(e, SCHED_SLICE)) {
            e->vruntime = MAX(e->vruntime, first + 1);
            s->slice_end[cpu] = now;
        }
        break;
    }
    lock_drop(&s->lock);
}

static struct sched_entity *sched_first(struct sched *s, uint32_t cpu)
{
    LIST_FOR_EACH(pos, &s->ready)
    if (sched_may_run(ENTITY(pos), cpu))
        return ENTITY(pos);
    return NULL;
}

/* The two are vCPUs of one VM. What `to` gains in the queue, who runs loses. */
static void sched_swap(struct sched_entity *running, struct sched_entity *to, struct sched_entity *first)
{
    uint64_t gain = to->vruntime - MIN(to->vruntime, first->vruntime);

    to->vruntime -= gain;
    running->vruntime = MAX(running->vruntime + gain, to->vruntime + 1);
    if (to == first)
        return;
    list_remove(&to->node);
    list_insert(&first->node, &to->node);
}

bool sched_yield_to(struct sched *s, uint32_t cpu, struct sched_entity *to, uint64_t now)
{
    struct sched_entity *e = s->running[cpu];
    bool good;

    lock_take(&s->lock);
    good = to->state == SCHED_READY && !to->release && sched_may_run(to, cpu);
    if (good) {
        sched_charge(e, now);
        sched_swap(e, to, sched_first(s, cpu));
        s->slice_end[cpu] = now;
    }
    lock_drop(&s->lock);
    return good;
}

/* Is there one in the queue that could run on this core? */
static bool sched_wanted(const struct sched *s, uint32_t cpu)
{
    LIST_FOR_EACH(pos, &s->ready)
    if (cpuset_has(&ENTITY(pos)->allowed, cpu))
        return true;
    return false;
}

static void sched_start(struct sched *s, struct sched_entity *e, uint32_t cpu, uint64_t now)
{
    sched_limit_lag(s, e, cpu);
    list_remove(&e->node);
    e->sender = SCHED_NOWHERE;
    e->charged = e->started = now;
    e->waited += now > e->ready ? now - e->ready : 0;
    e->cpu = cpu;
    s->running[cpu] = e;
    s->slice_end[cpu] = MIN(sched_wanted(s, cpu) ? now + SCHED_SLICE : UINT64_MAX,
                            sched_next_release(s, cpu));
    sched_set_state(e, SCHED_RUNNING);
}

/* Who is told about those that this core leaves in the queue: an idle one that may run one of them comes first. */
static uint32_t sched_notify_rest(struct sched *s, uint64_t now)
{
    LIST_FOR_EACH(pos, &s->ready)
    if (sched_idle_core(s, ENTITY(pos)) != SCHED_NOWHERE)
        return sched_notify(s, ENTITY(pos), now);
    return list_empty(&s->ready) ? SCHED_NOWHERE : sched_notify(s, ENTITY(s->ready.next), now);
}

struct sched_entity *sched_pick(struct sched *s, uint32_t cpu, uint64_t now, uint64_t *retry, uint32_t *tell)
{
    struct sched_entity *e;
    bool changed;

    *retry = UINT64_MAX;
    lock_take(&s->lock);
    /* One that it was told about may not be the one that it takes. */
    changed = cpuset_has(&s->told, cpu);
    cpuset_remove(&s->told, cpu);
    changed |= sched_release(s, now);
    e = sched_first(s, cpu);
    if (e)
        sched_start(s, e, cpu, now);
    else
        *retry = sched_next_release(s, cpu);
    *tell = changed ? sched_notify_rest(s, now) : SCHED_NOWHERE;
    lock_drop(&s->lock);
    return e;
}

void sched_loaded(struct sched *s, struct sched_entity *e, uint32_t cpu)
{
    lock_take(&s->lock);
    e->loaded = cpu;
    lock_drop(&s->lock);
}

/* One that waits could run on this core alone so far. The core goes on looking after those that are held back. */
uint32_t sched_unloaded(struct sched *s, struct sched_entity *e, uint64_t now)
{
    uint32_t cpu = SCHED_NOWHERE;

    lock_take(&s->lock);
    e->loaded = SCHED_NOWHERE;
    if (e->state == SCHED_READY && !e->release)
        cpu = sched_notify(s, e, now);
    lock_drop(&s->lock);
    return cpu;
}

uint64_t sched_deadline(struct sched *s, uint32_t cpu, uint64_t now)
{
    uint64_t deadline;

    lock_take(&s->lock);
    deadline = s->slice_end[cpu];
    if (s->running[cpu] && s->running[cpu]->cap) {
        struct sched_entity *e = s->running[cpu];
        uint64_t budget = sched_budget(e);

        sched_charge(e, now);
        deadline = MIN(deadline, e->used >= budget ? now : now + budget - e->used);
    }
    lock_drop(&s->lock);
    return deadline;
}

uint64_t sched_ran(struct sched *s, struct sched_entity *e, uint64_t now)
{
    uint64_t ran;

    lock_take(&s->lock);
    if (e->state == SCHED_RUNNING)
        sched_charge(e, now);
    ran = e->ran;
    lock_drop(&s->lock);
    return ran;
}
