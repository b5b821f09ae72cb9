#include "core/lib/string.h"

size_t str_len(const char *s)
{
    size_t len = 0;

    while (s[len] != '\0')
        len++;
    return len;
}

size_t str_nlen(const char *s, size_t max)
{
    size_t len = 0;

    while (len < max && s[len] != '\0')
        len++;
    return len;
}

bool str_eq(const char *a, const char *b)
{
    while (*a != '\0' && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

bool str_starts(const char *s, const char *prefix)
{
    while (*prefix != '\0' && *s == *prefix) {
        s++;
        prefix++;
    }
    return *prefix == '\0';
}

bool str_copy(char *dst, const char *src, size_t size)
{
    size_t i = 0;

    if (size == 0)
        return false;
    for (; i < size - 1 && src[i] != '\0'; i++)
        dst[i] = src[i];
    dst[i] = '\0';
    return src[i] == '\0';
}

const char *str_find(const char *s, char c)
{
    for (; *s != '\0'; s++)
        if (*s == c)
            return s;
    return c == '\0' ? s : NULL;
}

/* The value of a digit in any base up to 16, or 16 if c isn't one. */
static uint32_t digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return (uint32_t)(c - '0');
    if (c >= 'a' && c <= 'f')
        return (uint32_t)(c - 'a' + 10);
    if (c >= 'A' && c <= 'F')
        return (uint32_t)(c - 'A' + 10);
    return 16;
}

static uint32_t suffix_shift(char c)
{
    switch (c) {
    case 'K':
    case 'k':
        return 10;
    case 'M':
    case 'm':
        return 20;
    case 'G':
    case 'g':
        return 30;
    default:
        return 0;
    }
}

bool str_number(const char *s, bool size, uint64_t *out)
{
    uint64_t value = 0;
    uint32_t base = 10, shift = 0;

    if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
        base = 16;
        s += 2;
    }
    if (digit_value(*s) >= base)
        return false;
    for (uint32_t digit; (digit = digit_value(*s)) < base; s++)
        if (__builtin_mul_overflow(value, base, &value) || __builtin_add_overflow(value, digit, &value))
            return false;
    if (size && (shift = suffix_shift(*s)) != 0)
        s++;
    if (*s != '\0' || value > UINT64_MAX >> shift)
        return false;
    *out = value << shift;
    return true;
}
