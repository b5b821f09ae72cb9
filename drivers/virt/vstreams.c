#include "drivers/virt/vstreams.h"

#define WAYS 8 /* places where one stream may be, one after another */

static uint32_t home(const struct vstream *stream)
{
    uint32_t mix = (uint32_t)stream->peer * 31 + stream->peer_port * 7 + stream->own_port;

    return mix * 2654435761u >> 24;
}

static uint32_t place(const struct vstream *stream, uint32_t way)
{
    return (home(stream) + way) % VSTREAMS;
}

static bool same(const struct vstream *a, const struct vstream *b)
{
    return a->peer == b->peer && a->peer_port == b->peer_port && a->own_port == b->own_port;
}

/* Where it is; negative if it isn't known. */
static int find(const struct vstreams *s, const struct vstream *stream)
{
    for (uint32_t way = 0; way < WAYS; way++) {
        uint32_t n = place(stream, way);

        if (s->table[n].state != VSTREAM_NONE && same(&s->table[n].stream, stream))
            return (int)n;
    }
    return -1;
}

static void state_set(struct vstreams *s, uint32_t n, uint32_t state)
{
    uint32_t ended = s->ended + (state == VSTREAM_ENDED) - (s->table[n].state == VSTREAM_ENDED);

    s->table[n].state = state;
    __atomic_store_n(&s->ended, ended, __ATOMIC_RELEASE);
}

bool vstreams_has_ended(const struct vstreams *s, const struct vstream *stream)
{
    int n = find(s, stream);

    return n >= 0 && s->table[n].state == VSTREAM_ENDED;
}

/* Where it is, else where nothing is, else in the place of another, rather one that nobody has to be told of. */
void vstreams_add(struct vstreams *s, const struct vstream *stream)
{
    int found = find(s, stream);
    uint32_t n = found >= 0 ? (uint32_t)found : place(stream, 0);

    for (uint32_t way = 1; found < 0 && way < WAYS; way++)
        if (s->table[place(stream, way)].state < s->table[n].state)
            n = place(stream, way);
    s->table[n].stream = *stream;
    state_set(s, n, VSTREAM_LIVE);
}

void vstreams_remove(struct vstreams *s, const struct vstream *stream)
{
    int n = find(s, stream);

    if (n >= 0)
        state_set(s, (uint32_t)n, VSTREAM_NONE);
}

bool vstreams_end(struct vstreams *s, const struct vstream *stream)
{
    int n = find(s, stream);

    if (n >= 0)
        state_set(s, (uint32_t)n, VSTREAM_ENDED);
    return n >= 0;
}

bool vstreams_end_all(struct vstreams *s, uint64_t peer)
{
    bool any = false;

    for (uint32_t n = 0; n < VSTREAMS; n++)
        if (s->table[n].state != VSTREAM_NONE && s->table[n].stream.peer == peer) {
            state_set(s, n, VSTREAM_ENDED);
            any = true;
        }
    return any;
}

bool vstreams_take(struct vstreams *s, struct vstream *stream)
{
    for (uint32_t n = 0; s->ended && n < VSTREAMS; n++)
        if (s->table[n].state == VSTREAM_ENDED) {
            *stream = s->table[n].stream;
            state_set(s, n, VSTREAM_NONE);
            return true;
        }
    return false;
}
