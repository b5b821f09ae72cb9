/* Bytes and NUL-terminated strings. The mem functions are in mem.c, apart, since the compiler calls them too. */
#pragma once

#include "core/lib/types.h"

void *memcpy(void *dst, const void *src, size_t len);
void *memmove(void *dst, const void *src, size_t len);
void *memset(void *dst, int byte, size_t len);
int memcmp(const void *a, const void *b, size_t len);

size_t str_len(const char *s);
/* The length of s, or max if there is no NUL among its first max bytes. */
size_t str_nlen(const char *s, size_t max);
bool str_eq(const char *a, const char *b);
bool str_starts(const char *s, const char *prefix);
/* Copies at most size - 1 bytes and always terminates; returns false if src didn't fit. */
bool str_copy(char *dst, const char *src, size_t size);
/* The first place of c in s, or NULL. */
const char *str_find(const char *s, char c);

/*
 * Reads an unsigned number: decimal, or hexadecimal after 0x, the whole of s. With `size`, one suffix of K, M, G
 * (upper or lower case) is allowed. Returns false on anything else and on overflow; *out is then unchanged.
 */
bool str_number(const char *s, bool size, uint64_t *out);

/* Whether a line of text may hold that byte: of the control characters, only TAB, backspace and ESC break it for no reader. */
static inline bool char_fits_line(uint8_t c)
{
    return c >= 0x20 ? c != 0x7f : c == '\t' || c == '\b' || c == 0x1b;
}
