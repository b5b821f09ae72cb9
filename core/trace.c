#include "core/trace.h"

#include "core/lib/error.h"
#include "core/vm.h"
#include "mm/frame.h"

bool trace_on;

static struct trace_ring rings[CPU_MAX];

static int ring_create(uint32_t cpu, uint64_t wanted)
{
    uint64_t bytes = TRACE_BYTES_MIN;
    void *memory;

    while (2 * bytes <= wanted)
        bytes *= 2;
    memory = frame_alloc(frame_count(bytes), OWNER_CPU);
    if (!memory)
        return ERR_NOMEM;
    trace_ring_init(&rings[cpu], memory, bytes);
    cpus[cpu]->trace = &rings[cpu];
    return 0;
}

/* A core that has seen the trace on a moment ago may still write its last event: it has memory for that. */
int trace_start(uint64_t bytes)
{
    for (uint32_t cpu = 0; cpu < cpu_count; cpu++) {
        if (!cpus[cpu]->trace && ring_create(cpu, bytes ? bytes : TRACE_BYTES))
            return ERR_NOMEM;
        trace_ring_init(&rings[cpu], rings[cpu].memory, rings[cpu].mask + 1);
    }
    __atomic_store_n(&trace_on, true, __ATOMIC_RELEASE);
    return 0;
}

void trace_stop(void)
{
    __atomic_store_n(&trace_on, false, __ATOMIC_RELEASE);
}

const struct trace_ring *trace_ring_of(uint32_t cpu)
{
    return cpus[cpu]->trace;
}

void trace_put(uint32_t who, uint32_t code)
{
    struct tsc now = rdtsc_parts();

    trace_ring_next(this_trace(), now.low, now.high, who)->code = code;
}

void trace_left(const struct vcpu *vcpu, enum trace_left why)
{
    trace_entered();
    trace_put(vcpu->trace_who | TRACE_LEAVE, why);
}

void trace_entered(void)
{
    trace_ring_close(this_trace(), rdtsc());
}
