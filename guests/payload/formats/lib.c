/* What the compiler and core/lib/format.c need in 32-bit code, where core/lib/mem.c and libgcc don't fit. */
#include "core/lib/string.h"

uint64_t __udivmoddi4(uint64_t n, uint64_t d, uint64_t *rest);

void *memcpy(void *dst, const void *src, size_t len)
{
    void *to = dst;

    __asm__ volatile("rep movsb" : "+D"(to), "+S"(src), "+c"(len)::"memory");
    return dst;
}

void *memset(void *dst, int byte, size_t len)
{
    void *to = dst;

    __asm__ volatile("rep stosb" : "+D"(to), "+c"(len) : "a"(byte) : "memory");
    return dst;
}

int memcmp(const void *a, const void *b, size_t len)
{
    const uint8_t *x = a, *y = b;

    for (size_t i = 0; i < len; i++)
        if (x[i] != y[i])
            return x[i] - y[i];
    return 0;
}

/* Bit by bit: speed is no matter here. */
uint64_t __udivmoddi4(uint64_t n, uint64_t d, uint64_t *rest)
{
    uint64_t quotient = 0, r = 0;

    for (int bit = 63; bit >= 0; bit--) {
        r = r << 1 | (n >> bit & 1);
        if (r >= d) {
            r -= d;
            quotient |= BIT(bit);
        }
    }
    if (rest)
        *rest = r;
    return quotient;
}
