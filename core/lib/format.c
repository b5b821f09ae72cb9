#include "core/lib/format.h"

#include "core/lib/string.h"

struct output {
    char *buf;
    size_t size;
    size_t len; /* of the whole text, also of what didn't fit */
    va_list args;
};

struct spec {
    bool left, zero, alt;
    int width;
    int precision; /* -1: none */
    int size;      /* of the argument in bytes */
};

static void put_char(struct output *out, char c)
{
    if (out->len + 1 < out->size)
        out->buf[out->len] = c;
    out->len++;
}

static void put_chars(struct output *out, const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        put_char(out, s[i]);
}

static void put_fill(struct output *out, char c, int count)
{
    for (; count > 0; count--)
        put_char(out, c);
}

static void put_padded(struct output *out, const struct spec *spec, const char *s, size_t len)
{
    int fill = spec->width - (int)len;

    if (!spec->left)
        put_fill(out, ' ', fill);
    put_chars(out, s, len);
    if (spec->left)
        put_fill(out, ' ', fill);
}

static void put_string(struct output *out, const struct spec *spec, const char *s)
{
    put_padded(out, spec, s, spec->precision >= 0 ? str_nlen(s, (size_t)spec->precision) : str_len(s));
}

/* Writes the digits of value so that they end before `end`; returns where they begin. */
static char *number_digits(char *end, uint64_t value, uint32_t base, bool upper)
{
    const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";

    for (; value != 0; value /= base)
        *--end = digits[value % base];
    return end;
}

static void put_number(struct output *out, const struct spec *spec, const char *prefix, uint64_t value,
                       uint32_t base, bool upper)
{
    char buf[24]; /* 2^64 in base 8 has 22 digits */
    char *end = buf + sizeof(buf);
    char *first = number_digits(end, value, base, upper);
    int digits = (int)(end - first);
    int prefix_len = (int)str_len(prefix);
    int zeros = (spec->precision < 0 ? 1 : spec->precision) - digits;

    zeros = MAX(zeros, 0);
    if (spec->zero && !spec->left && spec->precision < 0)
        zeros = MAX(zeros, spec->width - prefix_len - digits);

    int fill = spec->width - prefix_len - zeros - digits;

    if (!spec->left)
        put_fill(out, ' ', fill);
    put_chars(out, prefix, (size_t)prefix_len);
    put_fill(out, '0', zeros);
    put_chars(out, first, (size_t)digits);
    if (spec->left)
        put_fill(out, ' ', fill);
}

static void put_signed(struct output *out, const struct spec *spec, int64_t value)
{
    uint64_t magnitude = value < 0 ? -(uint64_t)value : (uint64_t)value;

    put_number(out, spec, value < 0 ? "-" : "", magnitude, 10, false);
}

/* Cuts a value down to the argument's size, as h and hh ask for. */
static uint64_t cut_unsigned(uint64_t value, int size)
{
    return size == 8 ? value : value & MASK(8 * size);
}

static int64_t cut_signed(int64_t value, int size)
{
    uint32_t shift = 64 - 8 * (uint32_t)size;

    return (int64_t)((uint64_t)value << shift) >> shift;
}

static const char *parse_flags(const char *fmt, struct spec *spec)
{
    for (;; fmt++) {
        if (*fmt == '-')
            spec->left = true;
        else if (*fmt == '0')
            spec->zero = true;
        else if (*fmt == '#')
            spec->alt = true;
        else
            return fmt;
    }
}

static const char *parse_int(const char *fmt, int *value)
{
    *value = 0;
    for (; *fmt >= '0' && *fmt <= '9'; fmt++)
        if (*value < 10000)
            *value = *value * 10 + (*fmt - '0');
    return fmt;
}

static const char *parse_size(const char *fmt, struct spec *spec)
{
    spec->size = sizeof(int);
    if (*fmt == 'h') {
        bool byte = fmt[1] == 'h';
        spec->size = byte ? 1 : 2;
        return fmt + (byte ? 2 : 1);
    }
    if (*fmt == 'l' || *fmt == 'z') {
        spec->size = 8;
        return fmt + (fmt[0] == 'l' && fmt[1] == 'l' ? 2 : 1);
    }
    return fmt;
}

/* Reads flags, width, precision and size; returns where the conversion letter stands. */
static const char *parse_spec(const char *fmt, struct spec *spec, struct output *out)
{
    fmt = parse_flags(fmt, spec);
    if (*fmt == '*') {
        spec->width = va_arg(out->args, int);
        fmt++;
    } else {
        fmt = parse_int(fmt, &spec->width);
    }
    if (spec->width < 0) {
        spec->left = true;
        spec->width = -spec->width;
    }
    if (fmt[0] == '.' && fmt[1] == '*') {
        spec->precision = va_arg(out->args, int);
        fmt += 2;
    } else if (fmt[0] == '.') {
        fmt = parse_int(fmt + 1, &spec->precision);
    }
    return parse_size(fmt, spec);
}

static void put_unsigned(struct output *out, const struct spec *spec, char letter, uint64_t value)
{
    const char *prefix = "";
    uint32_t base = letter == 'u' ? 10 : letter == 'o' ? 8 : 16;

    if (spec->alt && value != 0 && base == 16)
        prefix = letter == 'x' ? "0x" : "0X";
    put_number(out, spec, prefix, value, base, letter == 'X');
}

static void put_conversion(struct output *out, const struct spec *spec, char letter)
{
    switch (letter) {
    case 'd':
    case 'i': {
        int64_t v = spec->size == 8 ? va_arg(out->args, int64_t) : va_arg(out->args, int);
        put_signed(out, spec, cut_signed(v, spec->size));
        break;
    }
    case 'u':
    case 'x':
    case 'X':
    case 'o': {
        uint64_t v = spec->size == 8 ? va_arg(out->args, uint64_t) : va_arg(out->args, unsigned int);
        put_unsigned(out, spec, letter, cut_unsigned(v, spec->size));
        break;
    }
    case 'c': {
        char c = (char)va_arg(out->args, int);
        put_padded(out, spec, &c, 1);
        break;
    }
    case 's': {
        const char *s = va_arg(out->args, const char *);
        put_string(out, spec, s ? s : "(null)");
        break;
    }
    case 'p':
        put_number(out, spec, "0x", (uintptr_t)va_arg(out->args, void *), 16, false);
        break;
    default: /* "%%" */
        put_char(out, letter);
    }
}

int fmt_vprint(char *buf, size_t size, const char *fmt, va_list ap)
{
    struct output out = {.buf = buf, .size = size};

    va_copy(out.args, ap);
    while (*fmt != '\0') {
        struct spec spec = {.precision = -1};

        if (*fmt != '%') {
            put_char(&out, *fmt++);
            continue;
        }
        fmt = parse_spec(fmt + 1, &spec, &out);
        if (*fmt != '\0')
            put_conversion(&out, &spec, *fmt++);
    }
    va_end(out.args);
    if (size != 0)
        buf[MIN(out.len, size - 1)] = '\0';
    return (int)out.len;
}

int fmt_print(char *buf, size_t size, const char *fmt, ...)
{
    va_list ap;
    int len;

    va_start(ap, fmt);
    len = fmt_vprint(buf, size, fmt, ap);
    va_end(ap);
    return len;
}

const char *fmt_quote(char *buf, size_t size, const char *text)
{
    size_t len = 0;

    for (; *text; text++) {
        size_t needed = *text == '"' || *text == '\\' ? 2 : 1;

        if (len + needed >= size)
            break;
        if (needed == 2)
            buf[len++] = '\\';
        buf[len++] = *text;
    }
    buf[len] = '\0';
    return buf;
}
