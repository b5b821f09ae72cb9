/*
 * The hypervisor's own output: one call, one line. A line goes into a ring in memory and to a sink
 * (the console), already with its `keel[SECONDS] ` prefix (DESIGN 7). Lines of event() are for programs.
 */
#pragma once

#include <stdarg.h>

#include "core/lib/types.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* A sink takes a whole line without its newline. It may be called on any core; it does its own locking. */
typedef void (*log_sink)(const char *line, size_t len);
/* Nanoseconds since the hypervisor started, for the prefix. */
typedef uint64_t (*log_clock)(void);

void log_set_sink(log_sink sink);
void log_set_clock(log_clock clock);
void log_set_level(enum log_level level);
/* Passes every line that the ring still holds to `sink`, oldest first: for a console that came up late, or `log`. */
void log_replay(log_sink sink);
/* From here on the log waits for its lock only for a while: called once, by panic(). A sink may ask log_panicked(). */
void log_panic(void);
bool log_panicked(void);

void log_write(enum log_level level, const char *fmt, ...) PRINTF(2, 3);
void log_vwrite(enum log_level level, const char *fmt, va_list ap);
/* Writes `event=NAME key=value...`; `fmt` gives the pairs. Events are never filtered by level. */
void log_event(const char *name, const char *fmt, ...) PRINTF(2, 3);

#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)
