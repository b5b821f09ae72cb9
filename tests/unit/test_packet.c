/* Checksums and TCP segments, against frames whose checksums are known, and against cutting by hand. */
#include "drivers/virt/packet.h"

#include <stdlib.h>
#include <string.h>

#include "core/lib/bytes.h"
#include "tests/unit/support.h"

#define ETHERNET 14

static uint8_t frame[PACKET_LONG_MAX];
static struct packet_piece piece;

/* The example of RFC 1071, 3: its words sum up to ddf2. */
static void test_sum(void **state)
{
    struct packet p = {.len = 12, .sum_start = 2, .sum_offset = 8};

    (void)state;
    memcpy(frame, "\xaa\xbb\x00\x01\xf2\x03\xf4\xf5\xf6\xf7\x00\x00", 12);
    assert_true(packet_sum_sound(&p));
    packet_complete(frame, &p);
    assert_memory_equal(frame + 10, "\x22\x0d", 2);
    assert_memory_equal(frame, "\xaa\xbb\x00\x01\xf2\x03", 6);
    /* An odd byte is the first of a word; a sum of 0 is written as ffff. */
    p = (struct packet){.len = 5, .sum_start = 0, .sum_offset = 0};
    memcpy(frame, "\0\0\x12\x34\x56", 5);
    packet_complete(frame, &p);
    assert_memory_equal(frame, "\x97\xcb", 2);
    p.len = 4;
    memcpy(frame, "\0\0\xff\xff", 4);
    packet_complete(frame, &p);
    assert_memory_equal(frame, "\xff\xff", 2);
    p = (struct packet){.len = 60, .sum_start = 50, .sum_offset = 8};
    assert_true(packet_sum_sound(&p));
    p.sum_offset = 9;
    assert_false(packet_sum_sound(&p));
    p.sum_start = p.sum_offset = UINT16_MAX;
    assert_false(packet_sum_sound(&p));
}

/* Sums of 16-bit words as the RFCs have them: by bytes, the slow way. */
static uint32_t slow_sum(uint32_t sum, const uint8_t *bytes, uint32_t len)
{
    for (uint32_t i = 0; i < len; i++) {
        sum += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return sum;
}

static uint32_t pseudo(const uint8_t *ip, bool six, uint32_t tcp_len)
{
    uint8_t tail[4] = {0, 6, (uint8_t)(tcp_len >> 8), (uint8_t)tcp_len};

    return slow_sum(slow_sum(0, ip + (six ? 8 : 12), six ? 32 : 8), tail, 4);
}

/* A TCP frame of `payload` bytes; `tags` VLAN tags, `extra` 32-bit words of IPv4 options or 64-bit ones of extensions. */
static struct packet build(bool six, uint32_t tags, uint32_t extra, uint32_t tcp_words, uint32_t payload)
{
    uint32_t network = ETHERNET + 4 * tags, at = network + (six ? 40 + 8 * extra : 20 + 4 * extra);
    struct packet p = {.len = at + 4 * tcp_words + payload,
                       .sum = true,
                       .sum_start = (uint16_t)at,
                       .sum_offset = 16,
                       .gso = six ? PACKET_TCP6 : PACKET_TCP4,
                       .segment = 1000};

    for (uint32_t i = 0; i < p.len; i++)
        frame[i] = (uint8_t)rand();
    for (uint32_t i = 0; i < tags; i++)
        memcpy(frame + 12 + 4 * i, i ? "\x81\x00" : "\x88\xa8", 2);
    memcpy(frame + network - 2, six ? "\x86\xdd" : "\x08\x00", 2);
    frame[network] = six ? 0x60 : (uint8_t)(0x45 + extra);
    if (six) {
        frame[network + 6] = extra ? 0 : 6;
        frame[network + 40] = extra ? 6 : frame[network + 40];
        frame[network + 41] = extra ? (uint8_t)(extra - 1) : frame[network + 41];
    } else {
        memcpy(frame + network + 6, "\x40\0", 2);
        frame[network + 9] = 6;
    }
    frame[at + 12] = (uint8_t)(tcp_words << 4);
    frame[at + 13] = 0xff;
    return p;
}

static void expect_sums(const struct packet *p, bool whole)
{
    static uint8_t tcp[PACKET_LONG_MAX];
    const uint8_t *ip = piece.head + p->network;
    uint32_t len = piece.head_len - p->sum_start + piece.body_len;
    uint32_t begun = pseudo(ip, p->gso == PACKET_TCP6, len);

    if (p->gso == PACKET_TCP4)
        assert_int_equal(slow_sum(0, ip, p->sum_start - p->network), 0xffff);
    if (!whole) {
        assert_int_equal(piece.head[p->sum_start + 16] << 8 | piece.head[p->sum_start + 17], begun);
        return;
    }
    memcpy(tcp, piece.head + p->sum_start, piece.head_len - p->sum_start);
    memcpy(tcp + piece.head_len - p->sum_start, piece.body, piece.body_len);
    assert_int_equal(slow_sum(begun, tcp, len), 0xffff);
}

static uint32_t be(const uint8_t *bytes, uint32_t count)
{
    uint32_t value = 0;

    while (count--)
        value = value << 8 | *bytes++;
    return value;
}

static void expect_headers(const struct packet *p, uint32_t n, uint32_t at, bool last)
{
    const uint8_t *ip = piece.head + p->network, *before = frame + p->network;
    const uint8_t *tcp = piece.head + p->sum_start, *tcp_before = frame + p->sum_start;
    uint32_t len = piece.head_len - p->network + piece.body_len;

    if (p->gso == PACKET_TCP6) {
        assert_int_equal(be(ip + 4, 2), len - 40);
        assert_memory_equal(ip + 6, before + 6, p->sum_start - p->network - 6u);
    } else {
        assert_int_equal(be(ip + 2, 2), len);
        assert_int_equal(be(ip + 4, 2), (be(before + 4, 2) + n) & 0xffff);
        assert_memory_equal(ip + 6, before + 6, 4);
        assert_memory_equal(ip + 12, before + 12, p->sum_start - p->network - 12u);
    }
    assert_int_equal(be(tcp + 4, 4), be(tcp_before + 4, 4) + at);
    assert_int_equal(tcp[13], 0xff & ~(last ? 0 : 0x09) & ~(n ? 0x80 : 0));
    assert_memory_equal(tcp, tcp_before, 4);
    assert_memory_equal(tcp + 8, tcp_before + 8, 5);
    assert_memory_equal(tcp + 14, tcp_before + 14, 2);
    assert_memory_equal(tcp + 18, tcp_before + 18, p->header - p->sum_start - 18u);
}

static void cut_all(struct packet p)
{
    uint32_t at = 0, pieces, n;

    assert_true(packet_parse(frame, &p));
    pieces = packet_pieces(&p);
    for (n = 0; n < pieces; n++) {
        bool whole = n % 2, last = n + 1 == pieces;

        packet_cut(frame, &p, n, whole, &piece);
        assert_int_equal(piece.head_len, p.header);
        assert_int_equal(piece.body_len, last ? p.len - p.header - at : p.segment);
        assert_ptr_equal(piece.body, frame + p.header + at);
        assert_memory_equal(piece.head, frame, p.network);
        expect_headers(&p, n, at, last);
        expect_sums(&p, whole);
        at += piece.body_len;
    }
    assert_int_equal(at, p.len - p.header);
}

static void test_cut(void **state)
{
    struct packet p;

    (void)state;
    for (uint32_t i = 0; i < 300; i++) {
        bool six = i & 1;

        p = build(six, i / 2 % 3, i / 6 % 4, 5 + i / 24 % 11, 1 + (uint32_t)rand() % 9000);
        p.segment = (uint16_t)(48 + rand() % 3000);
        cut_all(p);
    }
    p = build(false, 0, 0, 5, 65535 - 40);
    cut_all(p);
    p = build(true, 0, 0, 8, PACKET_LONG_MAX - 14 - 40 - 32);
    p.segment = 65000;
    cut_all(p);
    p = build(false, 0, 0, 5, 2000); /* just two */
    assert_true(packet_parse(frame, &p));
    assert_int_equal(packet_pieces(&p), 2);
}

/* Each field that a frame to be cut may have wrong. */
static void test_refused(void **state)
{
    struct packet p = build(false, 0, 0, 5, 2000), bad;
    static const struct {
        uint8_t at, value;
    } spoilt[] = {{12, 0x86}, {14, 0x65}, {14, 0x44}, {14, 0x46},
                  {20, 0x20}, {21, 0x01}, {23, 17},   {46, 0x40}};

    (void)state;
    assert_true(packet_parse(frame, &p));
    for (uint32_t i = 0; i < ARRAY_SIZE(spoilt); i++) {
        uint8_t before = frame[spoilt[i].at];

        frame[spoilt[i].at] = spoilt[i].value;
        bad = p;
        assert_false(packet_parse(frame, &bad));
        frame[spoilt[i].at] = before;
    }
#define REFUSE(field, value)                                                                                 \
    bad = p;                                                                                                 \
    bad.field = (value);                                                                                     \
    assert_false(packet_parse(frame, &bad))
    REFUSE(sum, false);
    REFUSE(sum_start, 35);
    REFUSE(sum_offset, 6);
    REFUSE(segment, 47);
    REFUSE(segment, 0);
    REFUSE(gso, PACKET_TCP6);
    for (uint32_t len = PACKET_MIN; len <= p.header; len++) { /* no payload, or not even its headers */
        REFUSE(len, len);
    }
    frame[46] = 0xf0; /* a header that its options don't fit into */
    REFUSE(len, 93);
    p = build(true, 0, 2, 5, 2000);
    assert_true(packet_parse(frame, &p));
    frame[55] = 30; /* behind what is looked at */
    REFUSE(len, p.len);
    frame[55] = 1;
    frame[54] = 43; /* a routing header: the pseudo-header's address would be another one */
    REFUSE(len, p.len);
    for (uint32_t len = PACKET_MIN; len <= p.header; len++) {
        REFUSE(len, len);
    }
}

/* Both ways of a connection are one flow. */
static void test_flow(void **state)
{
    uint8_t back[100];
    struct packet p;
    uint32_t flow, others = 0;

    (void)state;
    for (uint32_t i = 0; i < 100; i++) {
        bool six = i & 1;
        uint32_t size = six ? 16 : 4, ip;

        p = build(six, i / 2 % 3, 0, 5, 60);
        ip = p.sum_start - 2 * size;
        flow = packet_flow(frame, p.len);
        memcpy(back, frame, sizeof(back));
        memcpy(back + ip, frame + ip + size, size);
        memcpy(back + ip + size, frame + ip, size);
        memcpy(back + p.sum_start, frame + p.sum_start + 2, 2);
        memcpy(back + p.sum_start + 2, frame + p.sum_start, 2);
        assert_int_equal(packet_flow(back, p.len), flow);
        back[p.sum_start + 1] ^= 1;
        others += packet_flow(back, p.len) != flow;
        for (uint32_t len = PACKET_MIN; len < 60; len++)
            packet_flow(frame, len);
    }
    assert_int_equal(others, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sum),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_flow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
