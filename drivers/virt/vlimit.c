#include "drivers/virt/vlimit.h"

#define SECOND 1000000000ull
#define BURST  (SECOND / 10)
#define AGES   BIT(60) /* ns: 36 years */

void vlimit_set(struct vlimit *limit, const struct vlimit_rates *rates)
{
    limit->rates = *rates;
    limit->ops_full = limit->bytes_full = 0;
}

static uint64_t bucket_wait(uint64_t full, uint64_t now)
{
    return full > now + BURST ? full - BURST : 0;
}

uint64_t vlimit_wait(struct vlimit *limit, uint64_t now)
{
    uint64_t ops, bytes;

    if (now < limit->last)
        limit->ops_full = limit->bytes_full = 0;
    limit->last = now;
    ops = bucket_wait(limit->ops_full, now);
    bytes = bucket_wait(limit->bytes_full, now);
    limit->held += ops || bytes;
    return MAX(ops, bytes);
}

/* No more than 2^32 at once, so that the product doesn't overflow; and for no longer than any TSC can count. */
static uint64_t bucket_pay(uint64_t full, uint64_t now, uint64_t count, uint64_t rate)
{
    return rate ? MAX(full, now) + MIN(MIN(count, (uint64_t)UINT32_MAX) * SECOND / rate, AGES) : 0;
}

void vlimit_pay(struct vlimit *limit, uint64_t now, uint32_t ops, uint64_t bytes)
{
    limit->ops_full = bucket_pay(limit->ops_full, now, ops, limit->rates.ops);
    limit->bytes_full = bucket_pay(limit->bytes_full, now, bytes, limit->rates.bytes);
}
