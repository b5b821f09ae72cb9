/*
 * The one bus type. A VM has three: I/O ports, MMIO (by gpa) and MSRs (by number). A range belongs to a device's
 * handler, which is given an address relative to the range and knows neither where it sits nor who owns it.
 */
#pragma once

#include "core/lib/types.h"

struct bus_access {
    uint64_t addr; /* relative to the start of the range */
    uint64_t
        value;    /* a write's data; a read's handler stores its answer here (bits beyond size are dropped) */
    uint64_t now; /* the VM's time in ns (core/clock.h), but for those whose range is timeless there */
    uint32_t size; /* bytes: 1, 2, 4 or 8 */
    bool write;
};

enum bus_result {
    BUS_OK,
    BUS_FAULT,     /* MSRs only: the access takes #GP(0) */
    BUS_UNCLAIMED, /* nothing is there: reads give all ones, writes vanish; bus_dispatch fills in the value */
};

#define BUS_NOTHING UINT64_MAX /* what is read where nothing is */

typedef enum bus_result (*bus_handler)(void *dev, struct bus_access *access);

struct bus_range {
    uint64_t base, len;
    bus_handler handler;
    void *dev;
    const char *name; /* of the device, for logs */
    /* A bit for each offset into it, modulo 32, at which reads don't ask what time it is. All: nor do writes. */
    uint32_t timeless;
};

#define BUS_MAX_RANGES 64

struct bus {
    bool numbered;    /* an address is a whole register's number (MSRs), not a byte's */
    const char *kind; /* "port", "mmio" or "msr", for logs */
    uint32_t count;
    /* The range of the last access, or that below it: most accesses come in series. */
    const struct bus_range *hint;
    struct bus_range ranges[BUS_MAX_RANGES +
                            1]; /* sorted by base, no two overlap; behind the last, an empty one at the end */
    /* Unclaimed addresses that were logged already: a small set that is never emptied. */
    uint64_t logged[32];
    uint32_t logged_count;
};

void bus_init(struct bus *bus, const char *kind);
/* A bus on which neighbouring addresses are neighbouring registers, whatever their size: MSRs. */
void bus_init_numbered(struct bus *bus, const char *kind);
/* Claims [base, base + len). Returns 0, ERR_BUSY on overlap, ERR_NOMEM when the table is full, ERR_RANGE if len is 0, above 2^63 or wraps. */
int bus_claim(struct bus *bus, uint64_t base, uint64_t len, bus_handler handler, void *dev, const char *name);
#define BUS_TIMELESS UINT32_MAX
/* Says of the range that starts at base where its handler doesn't look at access->now: reading the time costs more than most. */
void bus_set_timeless(struct bus *bus, uint64_t base, uint32_t timeless);
/* Gives back the range that starts at base; ERR_NOTFOUND if there is none. */
int bus_release(struct bus *bus, uint64_t base);
const struct bus_range *bus_search(struct bus *bus, uint64_t addr, uint32_t size);

static inline bool bus_range_holds(const struct bus_range *range, uint64_t addr, uint32_t size)
{
    uint64_t offset = addr - range->base;

    return offset < range->len && offset + size <= range->len;
}

/* Where the last access went, or the range below that. */
static inline const struct bus_range *bus_hint(const struct bus *bus)
{
    return __atomic_load_n(&bus->hint, __ATOMIC_RELAXED);
}

/*
 * The range that all of an access is in, or NULL. Looks where the last access went, and behind that, then everywhere. Several vCPUs
 * may race for the hint; any value of it is safe. On a numbered bus, the size is 1.
 */
static inline const struct bus_range *bus_find(struct bus *bus, uint64_t addr, uint32_t size)
{
    const struct bus_range *last = bus_hint(bus);

    if (LIKELY(bus_range_holds(last, addr, size)))
        return last;
    if (addr - last->base >= last->len && addr >= last->base && addr < last[1].base)
        return NULL; /* between two */
    return bus_search(bus, addr, size);
}

/* Does the handler look at the time? offset: into the range. */
static inline bool bus_is_timed(const struct bus_range *range, uint64_t offset, bool write)
{
    return write ? range->timeless != BUS_TIMELESS : !(range->timeless >> offset % 32 & 1);
}

/* Is anything at that address? */
bool bus_holds(struct bus *bus, uint64_t addr);
/*
 * Carries out one access; access->addr is absolute going in, and unchanged coming out. An access that crosses the end
 * of a range is unclaimed. A read's value is cut to its size.
 */
enum bus_result bus_dispatch(struct bus *bus, struct bus_access *access);
/* What reads give where nothing is. */
void bus_unclaimed(struct bus_access *access);
/* True the first time that addr is given (while the set has room): for "logged once". */
bool bus_log_once(struct bus *bus, uint64_t addr);
