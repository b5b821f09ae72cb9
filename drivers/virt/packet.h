/*
 * Frames whose sender left work to others (virtio 1.2, 5.1.6): checksums that are only begun, and TCP segments that are to
 * be cut into smaller ones. Here both are done for receivers that don't take such frames. Pure; a frame's first bytes, which
 * hold its headers, have to be where their sender can't change them any more.
 */
#pragma once

#include "core/lib/types.h"

#define PACKET_HEAD     192 /* bytes: Ethernet, two VLAN tags, IP with options or extensions, TCP with options */
#define PACKET_MIN      14
#define PACKET_MAX      1518         /* with a VLAN tag, without the frame's own checksum */
#define PACKET_LONG_MAX (14 + 65536) /* of a frame to be cut (5.1.6.3.1) */

/* What a TCP frame is to be cut into; the numbers are those of the header (5.1.6) */
#define PACKET_TCP4 1
#define PACKET_TCP6 4

struct packet {
    uint32_t len;
    uint16_t sum_start,
        sum_offset;   /* the checksum of all from here is at start + offset: now the pseudo-header's */
    bool sum;         /* has it to be completed? */
    uint8_t gso;      /* PACKET_TCP..., 0: as long as a frame may be */
    bool ecn;         /* its CWR flag is for the first segment alone */
    uint16_t segment; /* a segment's payload */
    uint16_t network, header; /* of one to be cut: the places of IP's header and of TCP's payload */
};

/* Is the checksum's place in the frame? */
bool packet_sum_sound(const struct packet *p);
/* Looks at one that is to be cut, whose sum_... and segment are its sender's words: is it as it should be? Fills in the rest. */
bool packet_parse(const uint8_t *head, struct packet *p);
/* Completes the checksum. */
void packet_complete(uint8_t *frame, struct packet *p);

/* A segment: a header of its own, and a part of the frame. */
struct packet_piece {
    uint8_t head[PACKET_HEAD];
    uint32_t head_len;
    const uint8_t *body;
    uint32_t body_len;
};

uint32_t packet_pieces(const struct packet *p);
/* Cuts the n-th. Its checksum is whole, or begun as the frame's is. */
void packet_cut(const uint8_t *frame, const struct packet *p, uint32_t n, bool whole,
                struct packet_piece *piece);

/* A number that is the same for all frames of a connection, either way. */
uint32_t packet_flow(const uint8_t *head, uint32_t len);
