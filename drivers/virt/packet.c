#include "drivers/virt/packet.h"

#include "core/lib/bytes.h"
#include "core/lib/string.h"

#define ETHERNET_TYPE 12
#define TYPE_IP4      0x0800
#define TYPE_IP6      0x86dd
#define TYPE_VLAN     0x8100
#define TYPE_QINQ     0x88a8
#define VLAN_TAG      4
#define VLAN_TAGS_MAX 2

/* RFC 791 */
#define IP4_LENGTH    2
#define IP4_ID        4
#define IP4_FRAGMENT  6
#define IP4_PROTOCOL  9
#define IP4_SUM       10
#define IP4_ADDRESSES 12
#define IP4_HEADER    20
#define FRAGMENT_MASK 0x3fff /* more fragments, and where this one belongs */

/* RFC 8200 */
#define IP6_LENGTH     4
#define IP6_NEXT       6
#define IP6_ADDRESSES  8
#define IP6_HEADER     40
#define NEXT_HOPS      0
#define NEXT_OPTIONS   60
#define EXTENSIONS_MAX 4

/* RFC 9293 */
#define PROTOCOL_TCP 6
#define PROTOCOL_UDP 17
#define TCP_SEQUENCE 4
#define TCP_OFFSET   12
#define TCP_FLAGS    13
#define TCP_SUM      16
#define TCP_HEADER   20
#define FLAG_FIN     BIT(0)
#define FLAG_PSH     BIT(3)
#define FLAG_CWR     BIT(7)
#define SEGMENT_MIN                                                                                          \
    48 /* no sane peer asks for less; with less, one frame would cost its receiver far more than its sender */

static uint32_t get_be16(const uint8_t *p)
{
    return (uint32_t)p[0] << 8 | p[1];
}

static void put_be16(uint8_t *p, uint32_t value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
}

static uint32_t get_be32(const uint8_t *p)
{
    return get_be16(p) << 16 | get_be16(p + 2);
}

static void put_be32(uint8_t *p, uint32_t value)
{
    put_be16(p, value >> 16);
    put_be16(p + 2, value);
}

/* -- checksums: RFC 1071; sums of words in either byte order are each other's mirror image --------------------------- */

static uint64_t sum_add(uint64_t sum, const uint8_t *bytes, uint32_t len)
{
    for (; len >= 8; bytes += 8, len -= 8)
        sum += (uint64_t)get_le32(bytes) + get_le32(bytes + 4);
    for (; len >= 2; bytes += 2, len -= 2)
        sum += get_le16(bytes);
    return len ? sum + *bytes : sum;
}

static uint16_t sum_fold(uint64_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

/* A checksum of 0 means that there is none in UDP over IPv4; elsewhere both zeros are the same. */
static uint16_t sum_finish(uint64_t sum)
{
    uint16_t folded = (uint16_t)~sum_fold(sum);

    return folded ? folded : 0xffff;
}

bool packet_sum_sound(const struct packet *p)
{
    return (uint32_t)p->sum_start + p->sum_offset + 2 <= p->len;
}

void packet_complete(uint8_t *frame, struct packet *p)
{
    uint8_t *at = frame + p->sum_start + p->sum_offset;

    put_le16(at, sum_finish(sum_add(0, frame + p->sum_start, p->len - p->sum_start)));
    p->sum = false;
}

/* -- parsing ---------------------------------------------------------------------------------------------------- */

/* The place behind the Ethernet header; `type` is what begins there. */
static uint32_t ethernet_parse(const uint8_t *head, uint32_t len, uint32_t *type)
{
    uint32_t at = ETHERNET_TYPE;

    *type = get_be16(head + at);
    for (uint32_t i = 0; i < VLAN_TAGS_MAX && (*type == TYPE_VLAN || *type == TYPE_QINQ); i++) {
        if (at + VLAN_TAG + 2 > len)
            break;
        at += VLAN_TAG;
        *type = get_be16(head + at);
    }
    return at + 2;
}

/* The place behind IP's header, or 0; `protocol` is what begins there. A fragment has none. */
static uint32_t ip4_parse(const uint8_t *head, uint32_t at, uint32_t len, uint8_t *protocol)
{
    uint32_t header;

    if (at + IP4_HEADER > len)
        return 0;
    header = (head[at] & 0xfu) * 4;
    if (head[at] >> 4 != 4 || header < IP4_HEADER || get_be16(head + at + IP4_FRAGMENT) & FRAGMENT_MASK)
        return 0;
    *protocol = head[at + IP4_PROTOCOL];
    return at + header;
}

static uint32_t ip6_parse(const uint8_t *head, uint32_t at, uint32_t len, uint8_t *protocol)
{
    if (at + IP6_HEADER > len || head[at] >> 4 != 6)
        return 0;
    *protocol = head[at + IP6_NEXT];
    at += IP6_HEADER;
    for (uint32_t i = 0; i < EXTENSIONS_MAX && (*protocol == NEXT_HOPS || *protocol == NEXT_OPTIONS); i++) {
        if (at + 2 > len)
            return 0;
        *protocol = head[at];
        at += 8 * (head[at + 1] + 1u);
    }
    return at;
}

/* A frame to be cut is TCP over the IP that its sender says, and its checksum is TCP's. */
bool packet_parse(const uint8_t *head, struct packet *p)
{
    uint32_t len = MIN(p->len, (uint32_t)PACKET_HEAD), type, at, header;
    bool six = p->gso == PACKET_TCP6;
    uint8_t protocol = 0;

    at = ethernet_parse(head, len, &type);
    p->network = (uint16_t)at;
    if (type != (six ? TYPE_IP6 : TYPE_IP4))
        return false;
    at = six ? ip6_parse(head, at, len, &protocol) : ip4_parse(head, at, len, &protocol);
    if (at == 0 || protocol != PROTOCOL_TCP || at + TCP_HEADER > len)
        return false;
    header = (head[at + TCP_OFFSET] >> 4) * 4u;
    p->header = (uint16_t)(at + header);
    return header >= TCP_HEADER && at + header <= len && p->header < p->len && p->sum && p->sum_start == at &&
           p->sum_offset == TCP_SUM && p->segment >= SEGMENT_MIN;
}

/* -- cutting ---------------------------------------------------------------------------------------------------- */

uint32_t packet_pieces(const struct packet *p)
{
    return (p->len - p->header + p->segment - 1) / p->segment;
}

/* Length, and in IPv4 the identification and the header's own checksum. */
static void network_set(uint8_t *head, const struct packet *p, uint32_t n, uint32_t len)
{
    uint8_t *ip = head + p->network;
    uint32_t header = p->sum_start - p->network;

    if (p->gso == PACKET_TCP6) {
        put_be16(ip + IP6_LENGTH, len - p->network - IP6_HEADER);
        return;
    }
    put_be16(ip + IP4_LENGTH, len - p->network);
    put_be16(ip + IP4_ID, get_be16(ip + IP4_ID) + n);
    put_le16(ip + IP4_SUM, 0);
    put_le16(ip + IP4_SUM, (uint16_t)~sum_fold(sum_add(0, ip, header)));
}

static void tcp_set(uint8_t *tcp, const struct packet *p, uint32_t n, bool last)
{
    put_be32(tcp + TCP_SEQUENCE, get_be32(tcp + TCP_SEQUENCE) + n * p->segment);
    if (!last)
        tcp[TCP_FLAGS] &= (uint8_t) ~(FLAG_FIN | FLAG_PSH);
    if (n)
        tcp[TCP_FLAGS] &= (uint8_t)~FLAG_CWR;
}

/* RFC 9293, 3.1: addresses, protocol and length of what TCP sends are part of its checksum. */
static uint64_t pseudo_sum(const uint8_t *head, const struct packet *p, uint32_t len)
{
    uint8_t tail[4] = {0, PROTOCOL_TCP};
    bool six = p->gso == PACKET_TCP6;

    put_be16(tail + 2, len);
    return sum_add(sum_add(0, tail, 4), head + p->network + (six ? IP6_ADDRESSES : IP4_ADDRESSES),
                   six ? 32 : 8);
}

void packet_cut(const uint8_t *frame, const struct packet *p, uint32_t n, bool whole,
                struct packet_piece *piece)
{
    uint32_t at = p->header + n * p->segment, len;
    uint8_t *tcp = piece->head + p->sum_start;
    uint64_t sum;

    memcpy(piece->head, frame, p->header);
    piece->head_len = p->header;
    piece->body = frame + at;
    piece->body_len = MIN(p->len - at, (uint32_t)p->segment);
    len = piece->head_len + piece->body_len;
    network_set(piece->head, p, n, len);
    tcp_set(tcp, p, n, at + piece->body_len == p->len);
    sum = pseudo_sum(piece->head, p, len - p->sum_start);
    put_le16(tcp + TCP_SUM, whole ? 0 : sum_fold(sum));
    if (whole) {
        sum = sum_add(sum, tcp, p->header - p->sum_start);
        put_le16(tcp + TCP_SUM, sum_finish(sum_add(sum, piece->body, piece->body_len)));
    }
}

/* -- flows ------------------------------------------------------------------------------------------------------ */

static uint32_t words_mix(const uint8_t *bytes, uint32_t words)
{
    uint32_t mix = 0;

    for (uint32_t i = 0; i < words; i++)
        mix ^= get_le32(bytes + 4 * i);
    return mix;
}

uint32_t packet_flow(const uint8_t *head, uint32_t len)
{
    uint32_t type, at = ethernet_parse(head, len, &type), after = 0, mix = 0;
    uint8_t protocol = 0;

    if (type == TYPE_IP4 && (after = ip4_parse(head, at, len, &protocol)))
        mix = words_mix(head + at + IP4_ADDRESSES, 2);
    else if (type == TYPE_IP6 && (after = ip6_parse(head, at, len, &protocol)))
        mix = words_mix(head + at + IP6_ADDRESSES, 8);
    if (after && after + 4 <= len && (protocol == PROTOCOL_TCP || protocol == PROTOCOL_UDP))
        mix ^= get_be16(head + after) ^ get_be16(head + after + 2); /* ports */
    mix ^= mix >> 16;
    return mix ^ mix >> 8;
}
