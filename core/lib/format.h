/* printf-like formatting into a buffer: %d %i %u %x %X %o %c %s %p %%, flags - 0 #, width, precision, *, h hh l ll z. */
#pragma once

#include <stdarg.h>

#include "core/lib/types.h"

/* Both write at most size bytes, the closing NUL included, and return the length the whole text would have. */
int fmt_print(char *buf, size_t size, const char *fmt, ...) PRINTF(3, 4);
int fmt_vprint(char *buf, size_t size, const char *fmt, va_list ap);
/* The text as it can stand between double quotes: a backslash before each " and \. Cut where buf ends. Returns buf. */
const char *fmt_quote(char *buf, size_t size, const char *text);
