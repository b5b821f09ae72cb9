/* The device's side of virtqueues: both formats, around the ring many times, and everything that a driver may do wrong. */
#include "tests/unit/ring_driver.h"

static struct vring ring;
static struct vring_chain chain;

static void begin(bool packed, uint16_t size, bool event_idx)
{
    memory_start();
    driver_start(packed, size);
    ring = (struct vring){.packed = packed,
                          .indirect = true,
                          .event_idx = event_idx,
                          .size = size,
                          .desc = RING_DESC,
                          .driver = RING_AVAIL,
                          .device = RING_USED};
    assert_true(vring_start(&ring, &mem));
}

static void expect_broken(void)
{
    assert_int_equal(vring_pop(&ring, &mem, &chain), VRING_BROKEN);
}

/* Gives back the one that was just taken. */
static bool push(uint32_t written)
{
    const struct vring_used used = {chain.id, chain.descs, written};

    return vring_push(&ring, &mem, &used, 1);
}

static void both(void (*test)(bool packed))
{
    test(false);
    test(true);
}

static void around(bool packed)
{
    const struct buffer buffers[] = {{DATA, 16, 0}, {DATA + 0x100, 32, 0}, {DATA + 0x200, 64, WRITE}};
    uint16_t id;
    uint32_t len;

    begin(packed, 8, false);
    assert_int_equal(vring_pop(&ring, &mem, &chain), VRING_EMPTY);
    for (uint32_t round = 0; round < 1000; round++) {
        uint16_t first = driver_add(buffers, 3), second = driver_add(buffers + 2, 1);

        assert_int_equal(vring_pop(&ring, &mem, &chain), VRING_CHAIN);
        assert_int_equal(chain.id, first);
        assert_int_equal(chain.count, 3);
        assert_int_equal(chain.readable, 2);
        assert_int_equal(chain.readable_bytes, 48);
        assert_int_equal(chain.writable_bytes, 64);
        assert_ptr_equal(chain.parts[1].bytes, ram + DATA + 0x100);
        vring_unpop(&ring, 1, chain.descs);
        assert_int_equal(vring_pop(&ring, &mem, &chain), VRING_CHAIN);
        assert_int_equal(chain.id, first);
        assert_true(push(7));
        assert_true(driver_collect(&id, &len, 3));
        assert_int_equal(id, first);
        assert_int_equal(len, 7);
        assert_int_equal(vring_pop(&ring, &mem, &chain), VRING_CHAIN);
        assert_false(driver_collect(&id, &len, 1));
        assert_true(push(64));
        assert_true(driver_collect(&id, &len, 1));
        assert_int_equal(id, second);
        assert_int_equal(vring_pop(&ring, &mem, &chain), VRING_EMPTY);
        assert_true(vring_wants_interrupt(&ring, &mem));
        assert_false(vring_wants_interrupt(&ring, &mem)); /* nothing new */
    }
}

static void test_around(void **state)
{
    (void)state;
    both(around);
}

/* Several at once: taken, put back, taken again and given back, all around the ring. */
static void several(bool packed)
{
    const struct buffer buffers[] = {{DATA, 16, 0}, {DATA + 0x200, 64, WRITE}};
    struct vring_used used[3];
    uint16_t id;
    uint32_t len;

    begin(packed, 8, false);
    for (uint32_t round = 0; round < 100; round++) {
        for (uint32_t i = 0; i < 3; i++)
            used[i] = (struct vring_used){driver_add(buffers, i == 1 ? 1 : 2), i == 1 ? 1 : 2, i};
        for (uint32_t again = 0; again < 2; again++) {
            for (uint32_t i = 0; i < 3; i++) {
                assert_int_equal(vring_pop(&ring, &mem, &chain), VRING_CHAIN);
                assert_int_equal(chain.id, used[i].id);
            }
            if (!again)
                vring_unpop(&ring, 3, 5);
        }
        assert_true(vring_push(&ring, &mem, used, 3));
        for (uint32_t i = 0; i < 3; i++) {
            assert_true(driver_collect(&id, &len, used[i].descs));
            assert_int_equal(id, used[i].id);
            assert_int_equal(len, i);
        }
        assert_false(driver_collect(&id, &len, 1));
    }
}

static void test_several(void **state)
{
    (void)state;
    both(several);
}

static void indirect(bool packed)
{
    const struct buffer buffers[] = {{TABLE, 48, INDIRECT}};

    begin(packed, 4, false);
    desc_put(TABLE, 0, DATA, 8, packed ? 0 : NEXT, 1);
    desc_put(TABLE, 1, DATA + 8, 0, packed ? 0 : NEXT, 2); /* an empty piece does no harm */
    desc_put(TABLE, 2, DATA + 16, 9, WRITE, 0);
    driver_add(buffers, 1);
    assert_int_equal(vring_pop(&ring, &mem, &chain), VRING_CHAIN);
    assert_int_equal(chain.count, 3);
    assert_int_equal(chain.readable, 2);
    assert_int_equal(chain.descs, 1);
    assert_int_equal(chain.writable_bytes, 9);
}

static void test_indirect(void **state)
{
    (void)state;
    both(indirect);
    /* 2.7.5.3.2: after normal descriptors */
    begin(false, 4, false);
    desc_put(TABLE, 0, DATA + 16, 9, WRITE, 0);
    driver_add((const struct buffer[]){{DATA, 8, 0}, {TABLE, 16, INDIRECT}}, 2);
    assert_int_equal(vring_pop(&ring, &mem, &chain), VRING_CHAIN);
    assert_int_equal(chain.count, 2);
}

/* One broken chain in a fresh ring. */
static void refuse(bool packed, const struct buffer *buffers, uint32_t count)
{
    begin(packed, 4, false);
    desc_put(TABLE, 0, DATA, 8, packed ? 0 : NEXT, 0);
    desc_put(TABLE, 1, TABLE, 16, INDIRECT, 0);
    driver_add(buffers, count);
    expect_broken();
}

static void hostile(bool packed)
{
    refuse(packed, (const struct buffer[]){{NOWHERE, 1, 0}}, 1);
    refuse(packed, (const struct buffer[]){{RAM_BYTES - 1, 2, WRITE}}, 1);
    refuse(packed, (const struct buffer[]){{UINT64_MAX, 2, 0}}, 1);
    refuse(packed, (const struct buffer[]){{DATA, UINT32_MAX, 0}}, 1);
    refuse(packed, (const struct buffer[]){{ROM, 1, WRITE}}, 1);
    refuse(packed, (const struct buffer[]){{DATA, 1, WRITE}, {DATA, 1, 0}}, 2);
    refuse(packed, (const struct buffer[]){{NOWHERE, 16, INDIRECT}}, 1);
    refuse(packed, (const struct buffer[]){{TABLE, 8, INDIRECT}}, 1);
    refuse(packed, (const struct buffer[]){{TABLE, 0, INDIRECT}}, 1);
    refuse(packed, (const struct buffer[]){{TABLE, 16, INDIRECT | NEXT}, {DATA, 1, 0}}, 2);
    /* Too long: by a table. */
    begin(packed, 4, false);
    for (uint32_t i = 0; i < 5; i++)
        desc_put(TABLE, i, DATA, 1, packed || i == 4 ? 0 : NEXT, (uint16_t)(i + 1));
    driver_add((const struct buffer[]){{TABLE, 80, INDIRECT}}, 1);
    expect_broken();
    /* It wasn't negotiated. */
    begin(packed, 4, false);
    ring.indirect = false;
    driver_add((const struct buffer[]){{TABLE, 16, INDIRECT}}, 1);
    expect_broken();
    /* ROM may be read. */
    begin(packed, 4, false);
    driver_add((const struct buffer[]){{ROM, ROM_BYTES, 0}}, 1);
    assert_int_equal(vring_pop(&ring, &mem, &chain), VRING_CHAIN);
}

static void test_hostile(void **state)
{
    (void)state;
    both(hostile);
    /* Loops: in the ring's table, in an indirect one, and one in another. */
    begin(false, 4, false);
    desc_put(RING_DESC, 0, DATA, 8, NEXT, 0);
    avail_push(0);
    expect_broken();
    refuse(false, (const struct buffer[]){{TABLE, 16, INDIRECT}}, 1);
    begin(false, 4, false);
    desc_put(TABLE, 0, DATA, 8, NEXT, 1);
    desc_put(TABLE, 1, TABLE, 32, INDIRECT, 0);
    driver_add((const struct buffer[]){{TABLE, 32, INDIRECT}}, 1);
    expect_broken();
    /* Indexes: of a head, of a next one, of the ring. */
    begin(false, 4, false);
    avail_push(4);
    expect_broken();
    begin(false, 4, false);
    desc_put(RING_DESC, 0, DATA, 8, NEXT, 4);
    avail_push(0);
    expect_broken();
    begin(false, 4, false);
    put_le16(ram + RING_AVAIL + 2, 5);
    expect_broken();
    /* A packed list without end. */
    begin(true, 4, false);
    for (uint32_t i = 0; i < 4; i++)
        desc_put(RING_DESC, i, DATA, 1, NEXT | 0x80, 0);
    expect_broken();
}

static void test_areas(void **state)
{
    struct vring r;

    (void)state;
    begin(false, 256, false);
    r = ring;
    r.desc = RAM_BYTES - 4095;
    assert_false(vring_start(&r, &mem));
    r.desc = RAM_BYTES - 2048;
    assert_false(vring_start(&r, &mem));
    r = ring;
    r.driver = RING_AVAIL + 1;
    assert_false(vring_start(&r, &mem));
    r = ring;
    r.device = ROM;
    assert_false(vring_start(&r, &mem));
    r.device = NOWHERE;
    assert_false(vring_start(&r, &mem));
    r = ring;
    r.size = 100;
    assert_false(vring_start(&r, &mem));
    r.packed = true;
    assert_true(vring_start(&r, &mem));
    r = ring;
    r.packed = true;
    r.desc = ROM;
    assert_false(vring_start(&r, &mem));
    /* Nothing of it is there any more. */
    gmem_init(&mem, ram);
    expect_broken();
    assert_false(push(0));
    assert_false(vring_wants_interrupt(&ring, &mem));
}

static void give(uint32_t count)
{
    const struct buffer buffer = {DATA, 1, WRITE};

    for (uint32_t i = 0; i < count; i++) {
        driver_add(&buffer, 1);
        assert_int_equal(vring_pop(&ring, &mem, &chain), VRING_CHAIN);
        assert_true(push(1));
    }
}

static void test_split_events(void **state)
{
    (void)state;
    begin(false, 8, false);
    put_le16(ram + RING_AVAIL, 1); /* no interrupts */
    give(1);
    assert_false(vring_wants_interrupt(&ring, &mem));
    begin(false, 8, true);
    put_le16(ram + RING_AVAIL + 4 + 16, 2); /* after the third */
    give(2);
    assert_false(vring_wants_interrupt(&ring, &mem));
    give(1);
    assert_true(vring_wants_interrupt(&ring, &mem));
    give(3);
    assert_false(vring_wants_interrupt(&ring, &mem));
    /* The device asks to be told of the next buffer. */
    assert_int_equal(vring_pop(&ring, &mem, &chain), VRING_EMPTY);
    assert_int_equal(get_le16(ram + RING_USED + 4 + 64), 6);
    put_le16(ram + RING_AVAIL + 4 + 16, 9);
    give(4);
    assert_true(vring_wants_interrupt(&ring, &mem));
}

static void packed_event(uint16_t at, uint16_t flags)
{
    put_le16(ram + RING_AVAIL, at);
    put_le16(ram + RING_AVAIL + 2, flags);
}

static void test_packed_events(void **state)
{
    (void)state;
    begin(true, 8, true);
    packed_event(0, 1);
    give(1);
    assert_false(vring_wants_interrupt(&ring, &mem));
    packed_event(3 | 0x8000, 2); /* descriptor 3 of this round */
    give(2);
    assert_false(vring_wants_interrupt(&ring, &mem));
    give(1);
    assert_true(vring_wants_interrupt(&ring, &mem));
    packed_event(1, 2); /* descriptor 1 of the next */
    give(5);
    assert_false(vring_wants_interrupt(&ring, &mem));
    give(1);
    assert_true(vring_wants_interrupt(&ring, &mem));
    packed_event(0, 2); /* gone by */
    give(3);
    assert_false(vring_wants_interrupt(&ring, &mem));
    ring.event_idx = false;
    give(1);
    assert_true(vring_wants_interrupt(&ring, &mem));
}

/* Wherever the counters stand, also when they wrap: an interrupt if the event is among those given since. */
static void test_event_positions(void **state)
{
    const uint32_t size = 7;

    (void)state;
    for (uint32_t before = 65536 - 2 * size; before < 65536 + 2 * size; before++)
        for (uint32_t given = 1; given <= size; given++)
            for (uint32_t event = before - size; event < before + 2 * size; event++) {
                uint32_t after = before + given;
                bool wanted = event >= before && event < after;

                begin(false, 8, true);
                ring.signalled = (uint16_t)before;
                ring.used = (uint16_t)after;
                put_le16(ram + RING_AVAIL + 4 + 16, (uint16_t)event);
                assert_int_equal(vring_wants_interrupt(&ring, &mem), wanted);
                begin(true, (uint16_t)size, true);
                ring.signalled = before % size;
                ring.signalled_wrap = before / size % 2;
                ring.used = after % size;
                ring.used_wrap = after / size % 2;
                ring.given = (uint16_t)given;
                packed_event((uint16_t)(event % size | (event / size % 2) << 15), 2);
                assert_int_equal(vring_wants_interrupt(&ring, &mem), wanted);
            }
}

static void test_cursor(void **state)
{
    const struct buffer buffers[] = {
        {DATA, 3, 0}, {DATA + 8, 0, 0}, {DATA + 16, 5, 0}, {DATA + 32, 4, WRITE}};
    struct vring_cursor cursor;
    uint8_t bytes[8];
    uint32_t len;

    (void)state;
    begin(false, 8, false);
    memcpy(ram + DATA, "abc", 3);
    memcpy(ram + DATA + 16, "defgh", 5);
    driver_add(buffers, 4);
    assert_int_equal(vring_pop(&ring, &mem, &chain), VRING_CHAIN);
    cursor = vring_readable(&chain);
    assert_true(vring_read(&cursor, bytes, 4));
    assert_memory_equal(bytes, "abcd", 4);
    assert_true(vring_skip(&cursor, 1));
    assert_ptr_equal(vring_run(&cursor, 2, &len), ram + DATA + 18);
    assert_int_equal(len, 2);
    assert_false(vring_read(&cursor, bytes, 2));
    cursor = vring_writable(&chain);
    assert_true(vring_write(&cursor, "1234", 4));
    assert_false(vring_write(&cursor, "5", 1));
    assert_false(vring_skip(&cursor, 1));
    assert_memory_equal(ram + DATA + 32, "1234", 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_around),          cmocka_unit_test(test_indirect),
        cmocka_unit_test(test_hostile),         cmocka_unit_test(test_areas),
        cmocka_unit_test(test_split_events),    cmocka_unit_test(test_packed_events),
        cmocka_unit_test(test_event_positions), cmocka_unit_test(test_cursor),
        cmocka_unit_test(test_several),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
