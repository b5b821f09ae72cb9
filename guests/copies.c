#include "guests/copies.h"

#include "core/lib/panic.h"

static int copy(const struct gmem *mem, gpa_t to, const void *from, uint64_t len)
{
    return from ? gmem_write(mem, to, from, len) : gmem_fill(mem, to, 0, len);
}

int copies_add(struct copies *copies, const struct gmem *mem, gpa_t to, const void *from, uint64_t len)
{
    if (!copies || len <= COPIES_PIECE || copies->count == COPIES_MAX || !gmem_ptr(mem, to, len))
        return copy(mem, to, from, len);
    copies->parts[copies->count++] = (struct copies_part){.to = to, .from = from, .len = len};
    return 0;
}

/* They don't overlap: the last one goes first. */
void copies_step(struct copies *copies, const struct gmem *mem)
{
    struct copies_part *part;
    uint64_t len;
    int err;

    if (!copies->count)
        return;
    part = &copies->parts[copies->count - 1];
    len = MIN(part->len, COPIES_PIECE);
    err = copy(mem, part->to, part->from, len);
    assert(!err); /* copies_add has looked */
    part->to += len;
    part->from += part->from ? len : 0;
    part->len -= len;
    if (!part->len)
        copies->count--;
}
