#include "core/bus.h"

#include "core/lib/error.h"
#include "core/lib/panic.h"
#include "core/lib/string.h"

/* Holds nothing. */
static const struct bus_range bus_end = {.base = UINT64_MAX};

void bus_init(struct bus *bus, const char *kind)
{
    memset(bus, 0, sizeof(*bus));
    bus->kind = kind;
    bus->ranges[0] = bus_end;
    bus->hint = bus->ranges;
}

void bus_init_numbered(struct bus *bus, const char *kind)
{
    bus_init(bus, kind);
    bus->numbered = true;
}

/* The number of ranges that start at or below addr. */
static uint32_t bus_rank(const struct bus *bus, uint64_t addr)
{
    uint32_t low = 0, high = bus->count;

    while (low < high) {
        uint32_t mid = (low + high) / 2;

        if (bus->ranges[mid].base <= addr)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

int bus_claim(struct bus *bus, uint64_t base, uint64_t len, bus_handler handler, void *dev, const char *name)
{
    uint32_t at = bus_rank(bus, base);

    if (len == 0 || len > BIT(63) || len - 1 > UINT64_MAX - base)
        return ERR_RANGE;
    if (at > 0 && base - bus->ranges[at - 1].base < bus->ranges[at - 1].len)
        return ERR_BUSY;
    if (at < bus->count && bus->ranges[at].base - base < len)
        return ERR_BUSY;
    if (bus->count == BUS_MAX_RANGES)
        return ERR_NOMEM;
    memmove(&bus->ranges[at + 1], &bus->ranges[at], (bus->count - at + 1) * sizeof(bus->ranges[0]));
    bus->ranges[at] = (struct bus_range){base, len, handler, dev, name, false};
    bus->count++;
    return 0;
}

int bus_release(struct bus *bus, uint64_t base)
{
    uint32_t after = bus_rank(bus, base);

    if (after == 0 || bus->ranges[after - 1].base != base)
        return ERR_NOTFOUND;
    memmove(&bus->ranges[after - 1], &bus->ranges[after], (bus->count - after) * sizeof(bus->ranges[0]));
    bus->count--;
    bus->ranges[bus->count] = bus_end; /* a hint at it never matches */
    return 0;
}

void bus_set_timeless(struct bus *bus, uint64_t base, uint32_t timeless)
{
    uint32_t after = bus_rank(bus, base);

    assert(after > 0 && bus->ranges[after - 1].base == base);
    bus->ranges[after - 1].timeless = timeless;
}

const struct bus_range *bus_search(struct bus *bus, uint64_t addr, uint32_t size)
{
    uint32_t at = bus_rank(bus, addr);

    if (at == 0)
        return NULL;
    __atomic_store_n(&bus->hint, &bus->ranges[at - 1], __ATOMIC_RELAXED);
    return bus_range_holds(&bus->ranges[at - 1], addr, size) ? &bus->ranges[at - 1] : NULL;
}

bool bus_holds(struct bus *bus, uint64_t addr)
{
    return bus_find(bus, addr, 1) != NULL;
}

void bus_unclaimed(struct bus_access *access)
{
    if (!access->write)
        access->value = BUS_NOTHING;
}

enum bus_result bus_dispatch(struct bus *bus, struct bus_access *access)
{
    const struct bus_range *range = bus_find(bus, access->addr, bus->numbered ? 1 : access->size);
    uint64_t addr = access->addr;
    enum bus_result result = BUS_UNCLAIMED;

    if (range) {
        access->addr -= range->base;
        result = range->handler(range->dev, access); /* which may move ranges, as PCI's registers do */
        access->addr = addr;
    }
    if (result == BUS_UNCLAIMED)
        bus_unclaimed(access);
    if (!access->write)
        access->value &= UINT64_MAX >> (64 - 8 * access->size);
    return result;
}

bool bus_log_once(struct bus *bus, uint64_t addr)
{
    uint32_t count = __atomic_load_n(&bus->logged_count, __ATOMIC_RELAXED);

    do {
        for (uint32_t i = 0; i < count; i++) {
            if (bus->logged[i] == addr)
                return false;
        }
        if (count == ARRAY_SIZE(bus->logged))
            return false;
    } while (!__atomic_compare_exchange_n(&bus->logged_count, &count, count + 1, false, __ATOMIC_RELAXED,
                                          __ATOMIC_RELAXED));
    bus->logged[count] = addr;
    return true;
}
