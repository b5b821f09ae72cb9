#include "core/trace_ring.h"

void trace_ring_close(struct trace_ring *r, uint64_t now)
{
    uint64_t oldest = trace_ring_oldest(r);

    for (uint64_t n = trace_ring_count(r); n-- > oldest;) {
        struct trace_event *e = trace_ring_at(r, n);

        if ((uint8_t)e->who == TRACE_EXIT)
            e->ticks = (uint32_t)MIN(now - trace_event_tsc(e), (uint64_t)UINT32_MAX);
        if ((uint8_t)e->who != TRACE_INJECT)
            return;
    }
}
