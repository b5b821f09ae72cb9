/* What was logged since a test began, line by line. */
#pragma once

#include <string.h>

#include "core/lib/log.h"

static char seen[4096];

static void sink(const char *line, size_t len)
{
    strncat(seen, line, len);
    strcat(seen, "\n");
}

static int set_up(void **state)
{
    (void)state;
    seen[0] = '\0';
    log_set_sink(sink);
    return 0;
}
