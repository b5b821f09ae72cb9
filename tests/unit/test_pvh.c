/* PVH kernels that are made here, loaded into a small VM (guests/pvh.c). */
#include "tests/unit/kernel_bench.h"

static void test_pvh(void **state)
{
    const uint32_t at[] = {MiB + 0x30};
    const uint8_t *start, *mods;

    (void)state;
    elf32_make(0);
    note_make(0x400, 17, 1, at); /* another kind before it */
    note_make(0x414, 18, 1, at);
    segment32(1, 4, 0, 0, 0x400, 0x28, 0x28);
    files.modules[0] = (struct guest_file){"hello", 5, "m0"};
    files.module_count = 1;
    assert_int_equal(load(), 0);
    assert_string_equal(entry.format, "pvh");
    assert_int_equal(entry.rip, MiB + 0x30);
    assert_int_equal(entry.rax, 0);
    assert_false(entry.bios);
    expect_code_at(MiB);
    start = ram + entry.rbx;
    assert_int_equal(get_le32(start), 0x336ec578);
    assert_int_equal(get_le32(start + 4), 1);
    assert_int_equal(get_le32(start + 12), 1);
    mods = ram + get_le64(start + 16);
    assert_memory_equal(ram + get_le64(mods), "hello", 5);
    assert_int_equal(get_le64(mods + 8), 5);
    assert_string_equal(string_at(get_le32(mods + 16)), "m0");
    assert_string_equal(string_at(get_le32(start + 24)), "a b");
    assert_int_equal(get_le64(start + 32), RSDP);
    assert_int_equal(get_le32(start + 48), map.count);
    assert_int_equal(get_le64(ram + get_le64(start + 40) + 8), PC_EBDA);
    put_le32(file + 0x414 + 4, 0x10000000); /* a description that ends nowhere */
    expect_refusal(ERR_NOTSUP, "without a PVH entry note");
}

static void test_pvh_relocation(void **state)
{
    const uint32_t at[] = {RAM + 0x30}, reloc[] = {2 * MiB, 4 * MiB, 0xffffffff},
                   narrow[] = {MiB, MiB, MiB + 0x100};

    (void)state;
    elf32_make(0);
    segment32(0, 1, 0, RAM, CODE, CODE_LEN, CODE_LEN + 0x100);
    segment32(1, 4, 0, 0, 0x400, 0x30, 0x30);
    note_make(0x400, 18, 1, at);
    expect_refusal(ERR_NOMEM, "the kernel needs 2 KiB at 0x2000000");
    note_make(0x414, 19, 3, reloc);
    assert_int_equal(load(), 0);
    assert_int_equal(entry.rip, 4 * MiB + 0x30);
    expect_code_at(4 * MiB);
    note_make(0x414, 19, 3, narrow);
    expect_refusal(ERR_NOMEM, "where its note allows it");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_pvh, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pvh_relocation, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
