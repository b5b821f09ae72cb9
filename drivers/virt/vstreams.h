/*
 * The streams that one socket device knows of, so that its driver can be told when the other end of one has gone. Which of them end
 * is also remembered here, which takes no room for packets. Beyond what the table holds, an older stream is forgotten: its driver
 * learns of the end by the answer to the next packet.
 */
#pragma once

#include "core/lib/types.h"

#define VSTREAMS 256

struct vstream {
    uint64_t peer; /* the other end's number */
    uint32_t peer_port, own_port;
};

struct vstreams {
    uint32_t ended; /* of which the driver hasn't been told; read without a lock */
    struct {
        struct vstream stream;
        enum { VSTREAM_NONE, VSTREAM_LIVE, VSTREAM_ENDED } state;
    } table[VSTREAMS];
};

/* Has it ended, and its driver hasn't been told? */
bool vstreams_has_ended(const struct vstreams *s, const struct vstream *stream);
void vstreams_add(struct vstreams *s, const struct vstream *stream);
void vstreams_remove(struct vstreams *s, const struct vstream *stream);
/* That one, if it is known; and all with a peer. True if there is something to tell. */
bool vstreams_end(struct vstreams *s, const struct vstream *stream);
bool vstreams_end_all(struct vstreams *s, uint64_t peer);
/* Takes one that has ended; false if there is none. */
bool vstreams_take(struct vstreams *s, struct vstream *stream);
