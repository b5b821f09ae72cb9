#include "mm/gmem.h"

#include "core/lib/error.h"
#include "core/lib/string.h"

void gmem_init(struct gmem *mem, void *window)
{
    mem->window = window;
    mem->count = 0;
    mem->largest = (struct gmem_slot){0};
}

int gmem_add(struct gmem *mem, gpa_t base, uint64_t len, bool writable)
{
    uint32_t i = 0;

    if (len == 0 || !IS_ALIGNED(base | len, PAGE_SIZE) || base + len < base)
        return ERR_INVALID;
    while (i < mem->count && mem->slots[i].base + mem->slots[i].len <= base)
        i++;
    if (i < mem->count && mem->slots[i].base < base + len)
        return ERR_INVALID;
    if (mem->count == GMEM_MAX_SLOTS)
        return ERR_NOMEM;
    memmove(&mem->slots[i + 1], &mem->slots[i], (mem->count - i) * sizeof(mem->slots[0]));
    mem->slots[i] = (struct gmem_slot){.base = base, .len = len, .writable = writable};
    mem->count++;
    if (len > mem->largest.len)
        mem->largest = mem->slots[i];
    return 0;
}

static const struct gmem_slot *slot_find(const struct gmem *mem, gpa_t gpa)
{
    for (uint32_t i = 0; i < mem->count; i++)
        if (gpa - mem->slots[i].base < mem->slots[i].len)
            return &mem->slots[i];
    return NULL;
}

void *gmem_ptr_any(const struct gmem *mem, gpa_t gpa, uint64_t len)
{
    const struct gmem_slot *slot = slot_find(mem, gpa);

    if (UNLIKELY(!slot || len > slot->len - (gpa - slot->base)))
        return NULL;
    return mem->window + gpa;
}

/* True if all of [gpa, gpa + len) is in slots, which may be several if they are adjacent; writable ones if asked. */
static bool range_backed(const struct gmem *mem, gpa_t gpa, uint64_t len, bool writable)
{
    const struct gmem_slot *slot;

    while ((slot = slot_find(mem, gpa)) != NULL) {
        uint64_t here = slot->len - (gpa - slot->base);

        if (writable && !slot->writable)
            return false;
        if (len <= here)
            return true;
        gpa += here;
        len -= here;
    }
    return false;
}

int gmem_read(const struct gmem *mem, gpa_t gpa, void *buf, uint64_t len)
{
    if (!range_backed(mem, gpa, len, false))
        return ERR_RANGE;
    memcpy(buf, mem->window + gpa, len);
    return 0;
}

int gmem_write(const struct gmem *mem, gpa_t gpa, const void *buf, uint64_t len)
{
    if (!range_backed(mem, gpa, len, false))
        return ERR_RANGE;
    memcpy(mem->window + gpa, buf, len);
    return 0;
}

int gmem_fill(const struct gmem *mem, gpa_t gpa, uint8_t byte, uint64_t len)
{
    if (!range_backed(mem, gpa, len, false))
        return ERR_RANGE;
    memset(mem->window + gpa, byte, len);
    return 0;
}

bool gmem_guest_writable_any(const struct gmem *mem, gpa_t gpa, uint64_t len)
{
    return range_backed(mem, gpa, len, true);
}

uint64_t gmem_ram_bytes(const struct gmem *mem)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < mem->count; i++)
        if (mem->slots[i].writable)
            sum += mem->slots[i].len;
    return sum;
}
