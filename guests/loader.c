#include "guests/loader.h"

#include "core/lib/error.h"
#include "core/lib/format.h"
#include "core/lib/panic.h"
#include "core/lib/string.h"
#include "guests/platform.h"

#define LOADER_END   (4 * GiB)  /* entry points know 32-bit addresses */
#define LOADER_SMALL (64 * KiB) /* at most so much of one thing goes to low memory */
#define LOADER_LOW_BASE                                                                                      \
    (2 * PAGE_SIZE) /* page 0 is the interrupt vectors', and where start-up IPIs may lead */

int loader_refuse(struct loader *l, int err, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fmt_vprint(l->why, l->why_size, fmt, ap);
    va_end(ap);
    return err;
}

static bool range_is_ram(const struct e820 *map, gpa_t base, uint64_t len)
{
    for (uint32_t i = 0; i < map->count; i++) {
        const struct e820_entry *e = &map->entries[i];

        if (e->type == E820_RAM && base >= e->base && base - e->base < e->len &&
            len <= e->len - (base - e->base))
            return true;
    }
    return false;
}

/* A claim that [base, end) meets: its base, UINT64_MAX if there is none; or its end, 0 if there is none. */
static gpa_t claim_base(const struct loader *l, gpa_t base, gpa_t end)
{
    for (uint32_t i = 0; i < l->claim_count; i++)
        if (l->claims[i].base < end && base < l->claims[i].end)
            return l->claims[i].base;
    return UINT64_MAX;
}

static gpa_t claim_end(const struct loader *l, gpa_t base, gpa_t end)
{
    for (uint32_t i = 0; i < l->claim_count; i++)
        if (l->claims[i].base < end && base < l->claims[i].end)
            return l->claims[i].end;
    return 0;
}

bool loader_free(const struct loader *l, gpa_t base, uint64_t len)
{
    return len && range_is_ram(l->map, base, len) && claim_base(l, base, base + len) == UINT64_MAX;
}

int loader_claim(struct loader *l, gpa_t base, uint64_t len, const char *what)
{
    if (len == 0)
        return 0;
    if (!range_is_ram(l->map, base, len))
        return loader_refuse(l, ERR_NOMEM,
                             "%s needs %llu KiB at 0x%llx, where the VM has no (or not so much) memory", what,
                             (unsigned long long)(len + KiB - 1) / KiB, (unsigned long long)base);
    if (claim_base(l, base, base + len) != UINT64_MAX)
        return loader_refuse(l, ERR_INVALID, "%s needs 0x%llx to 0x%llx, which is taken already", what,
                             (unsigned long long)base, (unsigned long long)(base + len));
    if (l->claim_count == LOADER_CLAIMS_MAX)
        return loader_refuse(l, ERR_NOTSUP, "the kernel has more parts than Keel can load, %u",
                             LOADER_CLAIMS_MAX);
    l->claims[l->claim_count].base = base;
    l->claims[l->claim_count++].end = base + len;
    return 0;
}

/* The highest free place in [from, to), or UINT64_MAX. Each round goes below one claim. */
static gpa_t place_in(const struct loader *l, gpa_t from, gpa_t to, uint64_t len, uint64_t align)
{
    while (to > from && len <= to - from) {
        gpa_t at = ALIGN_DOWN(to - len, align), taken;

        if (at < from)
            break;
        taken = claim_base(l, at, at + len);
        if (taken == UINT64_MAX)
            return at;
        to = taken;
    }
    return UINT64_MAX;
}

/* Over all RAM between two addresses, from the top. */
static gpa_t place_find(const struct loader *l, gpa_t from, gpa_t to, uint64_t len, uint64_t align)
{
    for (uint32_t i = l->map->count; i-- > 0;) {
        const struct e820_entry *e = &l->map->entries[i];
        gpa_t at;

        if (e->type != E820_RAM)
            continue;
        at = place_in(l, MAX(e->base, from), MIN(e->base + e->len, to), len, align);
        if (at != UINT64_MAX)
            return at;
    }
    return UINT64_MAX;
}

/* The lowest free place from `from` on that begins before `to`, or UINT64_MAX. */
static gpa_t place_lowest(const struct loader *l, gpa_t from, gpa_t to, uint64_t len, uint64_t align)
{
    for (uint32_t i = 0; i < l->map->count; i++) {
        const struct e820_entry *e = &l->map->entries[i];
        gpa_t at = ALIGN_UP(MAX(e->base, from), align);

        while (at < to && at >= from && e->type == E820_RAM && at - e->base < e->len) {
            gpa_t taken;

            if (len > e->len - (at - e->base))
                break;
            taken = claim_end(l, at, at + len);
            if (taken == 0)
                return at;
            at = ALIGN_UP(taken, align);
        }
    }
    return UINT64_MAX;
}

bool loader_find(const struct loader *l, uint64_t len, uint64_t align, gpa_t from, gpa_t to, bool highest,
                 gpa_t *base)
{
    *base = highest ? place_find(l, from, to - 1 + len, len, align) : place_lowest(l, from, to, len, align);
    return *base != UINT64_MAX;
}

/* The same as loader_place, with whatever is there. */
static int loader_room(struct loader *l, uint64_t len, uint64_t align, const char *what, gpa_t *at)
{
    *at = UINT64_MAX;
    if (len <= LOADER_SMALL)
        *at = place_find(l, LOADER_LOW_BASE, PC_LOW_RAM_END, len, align);
    if (*at == UINT64_MAX)
        *at = place_find(l, PC_HIGH_RAM, LOADER_END, len, align);
    if (*at == UINT64_MAX)
        return loader_refuse(l, ERR_NOMEM,
                             "there is no room for %s of %llu KiB beside the kernel; the VM has %llu MiB",
                             what, (unsigned long long)(len + KiB - 1) / KiB,
                             (unsigned long long)(gmem_ram_bytes(l->mem) + MiB - 1) / MiB);
    return loader_claim(l, *at, len, what);
}

int loader_place(struct loader *l, uint64_t len, uint64_t align, const char *what, gpa_t *at)
{
    int err = loader_room(l, len, align, what, at);

    return err ? err : gmem_fill(l->mem, *at, 0, len);
}

int loader_segment(struct loader *l, gpa_t base, const void *data, uint64_t len, uint64_t mem_len)
{
    int err = loader_claim(l, base, mem_len, "the kernel");

    if (!err && len)
        err = copies_add(l->files->copies, l->mem, base, data, len);
    if (!err && mem_len > len)
        err = copies_add(l->files->copies, l->mem, base + len, NULL, mem_len - len);
    return err;
}

static size_t word_len(const char *s)
{
    const char *blank = str_find(s, ' ');

    return blank ? (size_t)(blank - s) : str_len(s);
}

int loader_string(struct loader *l, const char *name, const char *text, gpa_t *at)
{
    size_t head = name ? word_len(name) : 0, len = str_len(text), between = head && len ? 1 : 0;
    int err = loader_place(l, head + between + len + 1, 1, "the command line", at);

    if (!err && head)
        err = gmem_write(l->mem, *at, name, head);
    if (!err && between)
        err = gmem_write(l->mem, *at + head, " ", 1);
    return err ? err : gmem_write(l->mem, *at + head + between, text, len + 1);
}

int loader_modules(struct loader *l)
{
    for (uint32_t i = 0; i < l->files->module_count; i++) {
        const struct guest_file *m = &l->files->modules[i];
        int err = m->len ? loader_room(l, m->len, PAGE_SIZE, "a module", &l->modules[i]) : 0;

        if (!err && m->len)
            err = copies_add(l->files->copies, l->mem, l->modules[i], m->data, m->len);
        if (err)
            return err;
    }
    return 0;
}

int loader_gdt(struct loader *l, struct guest_entry *entry)
{
    uint8_t gdt[ENTRY_GDT_SIZE];
    int err = loader_place(l, sizeof(gdt), 8, "the GDT", &entry->gdt_base);

    entry_gdt_write(gdt, false);
    entry->gdt_limit = sizeof(gdt) - 1;
    return err ? err : gmem_write(l->mem, entry->gdt_base, gdt, sizeof(gdt));
}

static uint32_t ram_kib_from(const struct e820 *map, gpa_t base)
{
    for (uint32_t i = 0; i < map->count; i++)
        if (map->entries[i].type == E820_RAM && map->entries[i].base == base)
            return (uint32_t)MIN(map->entries[i].len / KiB, UINT32_MAX);
    return 0;
}

uint32_t loader_lower_kib(const struct loader *l)
{
    return ram_kib_from(l->map, 0);
}

uint32_t loader_upper_kib(const struct loader *l)
{
    return ram_kib_from(l->map, PC_HIGH_RAM);
}
