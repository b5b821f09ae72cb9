/* Which frames a station gets. */
#include "drivers/virt/vfilter.h"

#include <string.h>

#include "tests/unit/support.h"

static struct vfilter filter;
static const uint8_t all[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, group[] = {0x33, 0x33, 0, 0, 0, 1};
static const uint8_t own[] = {0x52, 0x54, 0, 0, 0, 1}, other[] = {0x52, 0x54, 0, 0, 0, 2};

static int start(void **state)
{
    (void)state;
    memset(&filter, 0, sizeof(filter));
    memcpy(filter.mac, own, VFILTER_MAC);
    return 0;
}

static bool passes(const uint8_t *to)
{
    uint8_t head[16] = {0};

    memcpy(head, to, VFILTER_MAC);
    return vfilter_passes(&filter, head, 60);
}

/* Own, another's, a group's, all: a bit each. */
static uint32_t what_passes(void)
{
    return (uint32_t)(passes(own) | passes(other) << 1 | passes(group) << 2 | passes(all) << 3);
}

static void test_switches(void **state)
{
    (void)state;
    assert_int_equal(what_passes(), 0x9);
    filter.all_multicast = true;
    assert_int_equal(what_passes(), 0xd);
    filter.no_multicast = true;
    assert_int_equal(what_passes(), 0x9);
    filter.all_unicast = true;
    assert_int_equal(what_passes(), 0xb);
    filter.no_unicast = filter.no_broadcast = true;
    assert_int_equal(what_passes(), 0);
    filter.promiscuous = true;
    assert_int_equal(what_passes(), 0xf);
    start(NULL);
    filter.many_unicast = filter.many_multicast = true;
    assert_int_equal(what_passes(), 0xf);
}

static void test_table(void **state)
{
    (void)state;
    memcpy(filter.table[0], "\x52\x54\0\0\0\7", VFILTER_MAC);
    memcpy(filter.table[1], other, VFILTER_MAC);
    memcpy(filter.table[2], group, VFILTER_MAC);
    filter.unicast = 1;
    filter.multicast = 1;
    assert_int_equal(what_passes(), 0x9);
    filter.unicast = 2;
    assert_int_equal(what_passes(), 0xf);
    filter.multicast = 0;
    assert_int_equal(what_passes(), 0xb);
}

static void test_vlans(void **state)
{
    uint8_t head[16] = {[12] = 0x81, [14] = 0xe1, [15] = 0x02};

    (void)state;
    memcpy(head, own, VFILTER_MAC);
    assert_false(vfilter_passes(&filter, head, 60));
    vfilter_vlan(&filter, 0x102, true);
    assert_true(vfilter_passes(&filter, head, 60));
    vfilter_vlan(&filter, 0x103, true);
    vfilter_vlan(&filter, 0x102, false);
    assert_false(vfilter_passes(&filter, head, 60));
    head[15] = 0x03;
    assert_true(vfilter_passes(&filter, head, 60));
    vfilter_vlans(&filter, false);
    assert_false(vfilter_passes(&filter, head, 60));
    assert_true(vfilter_passes(&filter, head, 15)); /* no whole tag */
    vfilter_vlans(&filter, true);
    assert_true(vfilter_passes(&filter, head, 60));
    vfilter_vlan(&filter, 4095, false);
    head[14] = head[15] = 0xff;
    assert_false(vfilter_passes(&filter, head, 60));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_switches, start),
        cmocka_unit_test_setup(test_table, start),
        cmocka_unit_test_setup(test_vlans, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
