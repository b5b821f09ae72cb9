#include "core/x86/entropy.h"

#include "core/lib/string.h"
#include "core/x86/asm.h"

#define TRIES 1000

static bool has_rdseed(void)
{
    return cpuid(0, 0).eax >= 7 && cpuid(7, 0).ebx & BIT(18);
}

static bool has_rdrand(void)
{
    return cpuid(1, 0).ecx & BIT(30);
}

static bool rdseed(uint64_t *value)
{
    bool good;

    asm volatile("rdseed %0" : "=r"(*value), "=@ccc"(good));
    return good;
}

static bool rdrand(uint64_t *value)
{
    bool good;

    asm volatile("rdrand %0" : "=r"(*value), "=@ccc"(good));
    return good;
}

static bool number_read(uint64_t *value)
{
    /* RDSEED runs dry when many ask; RDRAND hardly does. */
    for (uint32_t i = 0; has_rdseed() && i < TRIES; i++) {
        if (rdseed(value))
            return true;
        asm volatile("pause");
    }
    for (uint32_t i = 0; has_rdrand() && i < TRIES; i++)
        if (rdrand(value))
            return true;
    return false;
}

bool entropy_read(void *buf, size_t len)
{
    uint64_t value;

    for (uint8_t *out = buf; len;) {
        size_t part = MIN(len, sizeof(value));

        if (!number_read(&value))
            return false;
        memcpy(out, &value, part);
        out += part;
        len -= part;
    }
    return true;
}
