#include "core/lib/string.h"

/*
 * The string instructions move blocks at the best speed of the machine since ERMSB/FSRM, in two bytes of
 * code. They are written as assembly because the compiler would turn plain loops into calls of these very
 * functions. Long blocks go by whole words: guests' data is moved and their memory scrubbed so, and not every
 * machine (no emulator) is fast with bytes.
 */

#define WORDS_FROM 64 /* bytes; below, starting a second instruction costs more than it saves */

void *memcpy(void *dst, const void *src, size_t len)
{
    void *d = dst;
    size_t words = len / 8;

    if (len >= WORDS_FROM) {
        __asm__ volatile("rep movsq" : "+D"(d), "+S"(src), "+c"(words) : : "memory");
        len %= 8;
    }
    __asm__ volatile("rep movsb" : "+D"(d), "+S"(src), "+c"(len) : : "memory");
    return dst;
}

void *memmove(void *dst, const void *src, size_t len)
{
    char *d = dst;
    const char *s = src;

    if ((uintptr_t)d - (uintptr_t)s >= len)
        return memcpy(dst, src, len);

    /* dst begins inside src: from the end downwards */
    d += len - 1;
    s += len - 1;
    __asm__ volatile("std; rep movsb; cld" : "+D"(d), "+S"(s), "+c"(len) : : "memory", "cc");
    return dst;
}

void *memset(void *dst, int byte, size_t len)
{
    void *d = dst;
    uint64_t pattern = 0x0101010101010101ull * (uint8_t)byte, words = len / 8, rest = len % 8;

    __asm__ volatile("rep stosq" : "+D"(d), "+c"(words) : "a"(pattern) : "memory");
    __asm__ volatile("rep stosb" : "+D"(d), "+c"(rest) : "a"(pattern) : "memory");
    return dst;
}

int memcmp(const void *a, const void *b, size_t len)
{
    const uint8_t *x = a, *y = b;

    for (; len != 0; len--, x++, y++)
        if (*x != *y)
            return *x < *y ? -1 : 1;
    return 0;
}
