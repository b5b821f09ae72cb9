#include "core/x86/caps.h"

#include <string.h>

#include "tests/unit/log_kept.h"
#include "tests/unit/support.h"

static void test_names(void **state)
{
    (void)state;
    for (int c = 0; c < CAP_COUNT; c++) {
        const char *name = cap_name((enum cap)c);
        assert_int_equal(cap_find(name, strlen(name)), c);
    }
    assert_int_equal(cap_find("smapx", 4), CAP_SMAP);
    assert_int_equal(cap_find("sma", 3), -1);
    assert_int_equal(cap_find("", 0), -1);
}

static void test_disable(void **state)
{
    (void)state;
    struct caps c = {MASK(CAP_COUNT)};

    assert_int_equal(caps_disable(&c, ""), 0);
    assert_int_equal(c.bits, MASK(CAP_COUNT));
    assert_int_equal(caps_disable(&c, "smap,,ug,"), 0);
    assert_int_equal(c.bits, MASK(CAP_COUNT) & ~BIT(CAP_SMAP) & ~BIT(CAP_UG));
    assert_string_equal(seen, "");
    assert_int_equal(caps_disable(&c, "SMEP,warp,umip"), 2);
    assert_false(c.bits & BIT(CAP_UMIP));
    assert_true(c.bits & BIT(CAP_SMEP));
    assert_string_equal(seen, "keel[0.000000] disable: there is no feature 'SMEP'\n"
                              "keel[0.000000] disable: there is no feature 'warp'\n");
}

static void test_format(void **state)
{
    (void)state;
    struct caps c = {BIT(CAP_PAGE1G) | BIT(CAP_SMEP) | BIT(CAP_VMCB_CLEAN)};
    char buf[640], whole[640];

    caps_format(c, buf, sizeof(buf));
    assert_string_equal(buf, "page1g,smep,vmcbclean");
    caps_format((struct caps){0}, buf, sizeof(buf));
    assert_string_equal(buf, "");
    caps_format((struct caps){MASK(CAP_COUNT)}, whole, sizeof(whole));
    assert_true(strlen(whole) < sizeof(whole) - 40);
    for (size_t size = 1; size < sizeof(whole); size++) {
        char *exact = test_malloc(size);
        caps_format((struct caps){MASK(CAP_COUNT)}, exact, size);
        assert_true(strlen(exact) < size);
        assert_int_equal(strncmp(exact, whole, strlen(exact)), 0);
        test_free(exact);
    }
}

static void test_settle(void **state)
{
    (void)state;
    caps_settle((struct caps){MASK(CAP_COUNT) & ~BIT(CAP_XSAVE) & ~BIT(CAP_TPR_SHADOW)});
    assert_false(cap(CAP_XSAVES));
    assert_false(cap(CAP_APICV));
    assert_false(cap(CAP_POSTED));
    assert_true(cap(CAP_SMAP));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_names, set_up),
        cmocka_unit_test_setup(test_disable, set_up),
        cmocka_unit_test_setup(test_format, set_up),
        cmocka_unit_test_setup(test_settle, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
