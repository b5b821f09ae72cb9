#include "core/console_sinks.h"

#include "core/lib/error.h"

#define MAX_SINKS 4

static struct console_sink sinks[MAX_SINKS];
static uint32_t sink_count;

void sinks_init(void)
{
    sink_count = 0;
}

int sinks_add(const struct console_sink *sink)
{
    if (sink_count == MAX_SINKS)
        return ERR_NOMEM;
    sinks[sink_count++] = *sink;
    return 0;
}

void sinks_write(const char *bytes, size_t len)
{
    for (uint32_t i = 0; i < sink_count; i++)
        sinks[i].write(sinks[i].ctx, bytes, len);
}

void sinks_flush(bool alone)
{
    for (uint32_t i = 0; i < sink_count; i++)
        if (sinks[i].flush)
            sinks[i].flush(sinks[i].ctx, alone);
}

bool sinks_room(size_t wanted)
{
    for (uint32_t i = 0; i < sink_count; i++)
        if (sinks[i].room && sinks[i].room(sinks[i].ctx) < wanted)
            return false;
    return true;
}
