/* Where the console's bytes go: up to a few sinks, each of which gets all of them. Under the console's lock. Pure. */
#pragma once

#include "core/console.h"

/* Forgets all. */
void sinks_init(void);
/* ERR_NOMEM when there are too many. */
int sinks_add(const struct console_sink *sink) MUST_CHECK;
void sinks_write(const char *bytes, size_t len);
/* Has all put out what they hold back; `alone` as in struct console_sink. */
void sinks_flush(bool alone);
/* True if each would take so many bytes without waiting. Without the lock, too: a little more than that does no harm. */
bool sinks_room(size_t wanted);
