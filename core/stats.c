#include "core/stats.h"

const char *stats_exit_name(enum stats_exit kind)
{
    static const char *const names[] = {
#define STATS_NAME(id, name) name,
        STATS_EXITS(STATS_NAME)
#undef STATS_NAME
    };

    return names[kind];
}
