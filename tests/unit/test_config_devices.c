/* The lines of keel.conf that give a VM its devices. */
#include "tests/unit/config_bench.h"

#define NAME_TEXT "the name of a file without blanks, quotes and backslashes"
#define DISK_TEXT                                                                                            \
    NAME_TEXT ", and perhaps ',ro', ',cow' or ',cow=SIZE'; or ram:SIZE; limits are ',iops=N', ',bps=SIZE'"
#define NET_TEXT                                                                                             \
    "a switch's name, and perhaps ',mac=' with an address such as 52:54:00:12:34:56; limits are ',fps=N', "  \
    "',bps=SIZE'"
#define RATE_TEXT "a second from 1 to 1000000000000"

static bool lookup(void *ctx, const char *name)
{
    assert_ptr_equal(ctx, &c);
    return name[0] == 'k';
}

static void test_values(void **state)
{
    (void)state;
    expect_line("disk = a,rw", "disk takes " DISK_TEXT ", not 'a,rw'");
    expect_line("disk = a,ro,ro", "disk takes " DISK_TEXT ", not 'a,ro,ro'");
    expect_line("disk = ,ro", "disk takes " DISK_TEXT ", not ',ro'");
    expect_line("disk = a,cow,ro", "disk takes " DISK_TEXT ", not 'a,cow,ro'");
    expect_line("disk = a,cow=1000", "disk takes " DISK_TEXT ", not 'a,cow=1000'");
    expect_line("disk = a,cow=1048577", "disk takes " DISK_TEXT ", not 'a,cow=1048577'");
    expect_line("disk = ram:", "disk takes " DISK_TEXT ", not 'ram:'");
    expect_line("disk = ram:8M,ro", "disk takes " DISK_TEXT ", not 'ram:8M,ro'");
    expect_line("cdrom = a b", "cdrom takes " NAME_TEXT ", not 'a b'");
    expect_line("cdrom =", "cdrom has no value: it takes " NAME_TEXT);
    expect_line("virtio_rings = both", "virtio_rings takes packed or split, not 'both'");
    expect_line("shmem = ring", "shmem takes NAME:SIZE, the size a power of two from 4K to 256M, not 'ring'");
    expect_line("shmem = ring:3M",
                "shmem takes NAME:SIZE, the size a power of two from 4K to 256M, not 'ring:3M'");
    expect_line("shmem = ring:2K",
                "shmem takes NAME:SIZE, the size a power of two from 4K to 256M, not 'ring:2K'");
    expect_line("shmem = ring:512M",
                "shmem takes NAME:SIZE, the size a power of two from 4K to 256M, not 'ring:512M'");
    expect_line("shmem = -:1M", "shmem takes NAME:SIZE, the size a power of two from 4K to 256M, not '-:1M'");
    expect_line("virtio_port = a b", "virtio_port takes the name of a port, not 'a b'");
    expect_line("virtio_port = a-name-that-is-much-too-long.x",
                "virtio_port: 'a.a-name-that-is-much-too-long.x' is longer than 31 characters");
    expect_line("vsock = 2", "vsock takes a number from 3 to 4294967294, not '2'");
    expect_line("vsock = 4294967295", "vsock takes a number from 3 to 4294967294, not '4294967295'");
    expect_line("keyboard = usb", "keyboard takes auto, yes or no, not 'usb'");
    expect_line("balloon = 1", "balloon takes yes or no, not '1'");
    expect_line("rng = maybe", "rng takes yes or no, not 'maybe'");
    expect_line("virtio_console = hvc0", "virtio_console takes yes or no, not 'hvc0'");
}

static void test_limits(void **state)
{
    (void)state;
    assert_int_equal(parse("[vm a]\nkernel=k\nmemory=4M\ndisk=d,cow,iops=500,bps=10M\ndisk=ram:1M,bps=1\n"
                           "net=lan,fps=1000,bps=2G,mac=52:54:00:12:34:56\nnet=lan\n"),
                     0);
    assert_int_equal(c.vms[0].disks[0].rates.ops, 500);
    assert_int_equal(c.vms[0].disks[0].rates.bytes, 10 * MiB);
    assert_int_equal(c.vms[0].disks[0].kind, DISK_COW);
    assert_int_equal(c.vms[0].disks[1].rates.ops, 0);
    assert_int_equal(c.vms[0].disks[1].rates.bytes, 1);
    assert_int_equal(c.vms[0].nets[0].rates.ops, 1000);
    assert_int_equal(c.vms[0].nets[0].rates.bytes, 2 * GiB);
    assert_true(c.vms[0].nets[0].has_mac);
    assert_int_equal(c.vms[0].nets[1].rates.ops, 0);
    expect_line("disk = a,iops=0", "iops takes a number " RATE_TEXT ", not '0'");
    expect_line("disk = a,iops=5K", "iops takes a number " RATE_TEXT ", not '5K'");
    expect_line("disk = a,bps=", "bps takes a number " RATE_TEXT ", not ''");
    expect_line("disk = a,bps=1000G", "bps takes a number " RATE_TEXT ", not '1000G'");
    expect_line("disk = a,bps=1,bps=2", "bps is given more than once");
    expect_line("disk = a,fps=1", "disk takes " DISK_TEXT ", not 'a,fps=1'");
    expect_line("net = a,fps=fast", "fps takes a number " RATE_TEXT ", not 'fast'");
    expect_line("net = a,iops=1", "net takes " NET_TEXT ", not 'a,iops=1'");
}

static void test_disks(void **state)
{
    (void)state;
    assert_int_equal(
        parse("[vm a]\nkernel=k\nmemory=4M\ndisk=d,cow\ndisk=d,cow=2M\ndisk=ram:256M\ndisk=e,ro\n"
              "virtio_rings=split\nrng=yes\nvirtio_console=yes\n"),
        0);
    assert_int_equal(c.vms[0].disk_count, 4);
    assert_int_equal(c.vms[0].disks[0].kind, DISK_COW);
    assert_int_equal(c.vms[0].disks[0].bytes, 0);
    assert_int_equal(c.vms[0].disks[1].kind, DISK_COW);
    assert_int_equal(c.vms[0].disks[1].bytes, 2 * MiB);
    assert_int_equal(c.vms[0].disks[2].kind, DISK_RAM);
    assert_int_equal(c.vms[0].disks[2].bytes, 256 * MiB);
    assert_int_equal(c.vms[0].disks[3].kind, DISK_READ_ONLY);
    assert_int_equal(c.vms[0].rings, RINGS_SPLIT);
    assert_true(c.vms[0].rng && c.vms[0].console);
    assert_string_equal(config_file_at(&c.vms[0], 3)->name, "e");
    assert_null(config_file_at(&c.vms[0], 4));
}

/* Read by any number of VMs, but not beside one that writes. */
static void test_cdroms(void **state)
{
    (void)state;
    assert_int_equal(parse("[vm a]\nkernel=k\nmemory=4M\ncdrom=k1\ncdrom=k2\ndisk=k3,ro\n"
                           "[vm b]\nkernel=k\nmemory=4M\ncdrom=k1\n"
                           "[vm c]\nkernel=k\nmemory=4M\ncdrom=d\ndisk=k2\n"),
                     0);
    assert_int_equal(c.vms[0].cdrom_count, 2);
    assert_string_equal(c.vms[0].cdroms[1].file.name, "k2");
    assert_int_equal(c.vms[0].cdroms[1].kind, DISK_READ_ONLY);
    assert_string_equal(config_file_at(&c.vms[0], 3)->name, "k2");
    assert_null(config_file_at(&c.vms[0], 4));
    assert_int_equal(config_check(&c, lookup, report, &c), 2);
    assert_string_equal(
        told, "14: cdrom 'd' is missing\n"
              "15: disk 'k2' is written, and used on line 5, too: add ',cow' here, or ',ro' to both\n");
    expect("[vm a]\nkernel=k\nmemory=4M\ncdrom=a\ncdrom=b\ncdrom=c\ncdrom=d\ncdrom=e\n",
           "8: cdrom is given more than 4 times\n");
}

/* What one VM writes, nobody else uses. */
static void test_shared_disks(void **state)
{
    (void)state;
    assert_int_equal(parse("[vm a]\nkernel=k\nmemory=4M\ndisk=k1\ndisk=k2,ro\ndisk=k3,cow\n"
                           "[vm b]\nkernel=k1\nmemory=4M\ndisk=k2,ro\ndisk=k3,cow\n"
                           "[vm c]\nkernel=k\nmemory=4M\ndisk=k4\ndisk=k4\ndisk=ram:1M\ndisk=ram:1M\n"),
                     0);
    assert_int_equal(config_check(&c, lookup, report, &c), 3);
    assert_string_equal(
        told, "4: disk 'k1' is written, and used on line 8, too: add ',cow' here, or ',ro' to both\n"
              "15: disk 'k4' is written, and used on line 16, too: add ',cow' here, or ',ro' to both\n"
              "16: disk 'k4' is written, and used on line 15, too: add ',cow' here, or ',ro' to both\n");
    assert_true(c.vms[0].bad && c.vms[2].bad);
    assert_false(c.vms[1].bad);
}

static void test_ports(void **state)
{
    (void)state;
    assert_int_equal(parse("[vm a]\nkernel=k\nmemory=4M\nvirtio_port=x\nvirtio_port=y.z\n"
                           "[vm a.y.z]\nkernel=k\nmemory=4M\n"),
                     0);
    assert_int_equal(c.vms[0].port_count, 2);
    assert_string_equal(c.vms[0].ports[1].name, "y.z");
    assert_int_equal(config_check(&c, lookup, report, &c), 1);
    assert_string_equal(told, "5: virtio_port 'y.z' would speak as VM 'a.y.z' of line 6\n");
    expect("[vm a]\nkernel=k\nmemory=4M\nvirtio_port=x\nvirtio_port=x\n",
           "5: virtio_port 'x' was given on line 4 already\n");
}

/* A socket's number is one VM's. */
static void test_sockets(void **state)
{
    (void)state;
    assert_int_equal(parse("[vm a]\nkernel=k\nmemory=4M\nvsock=5\n[vm b]\nkernel=k\nmemory=4M\nvsock=6\n"
                           "[vm c]\nkernel=k\nmemory=4M\n[vm d]\nkernel=k\nmemory=4M\nvsock=5\n"),
                     0);
    assert_int_equal(c.vms[1].cid, 6);
    assert_int_equal(c.vms[2].cid, 0);
    assert_int_equal(config_check(&c, lookup, report, &c), 1);
    assert_string_equal(told, "15: vsock 5 is that of VM 'a' on line 4\n");
    assert_true(c.vms[3].bad && !c.vms[0].bad);
}

/* All that share a memory agree on its size. */
static void test_shared_memory(void **state)
{
    (void)state;
    assert_int_equal(parse("[vm a]\nkernel=k\nmemory=4M\nshmem=x:4M\nshmem=y:4K\n"
                           "[vm b]\nkernel=k\nmemory=4M\nshmem=x:4096K\n"
                           "[vm c]\nkernel=k\nmemory=4M\nshmem=x:2M\n"),
                     0);
    assert_int_equal(c.vms[0].shmem_count, 2);
    assert_int_equal(c.vms[0].shmems[1].bytes, 4 * KiB);
    assert_string_equal(c.vms[1].shmems[0].name, "x");
    assert_int_equal(config_check(&c, lookup, report, &c), 3);
    assert_string_equal(told, "4: shmem 'x' has another size on line 13: all that share it have the same\n"
                              "9: shmem 'x' has another size on line 13: all that share it have the same\n"
                              "13: shmem 'x' has another size on line 4: all that share it have the same\n");
    assert_true(c.vms[0].bad && c.vms[1].bad && c.vms[2].bad);
    assert_int_equal(parse("[vm a]\nkernel=k\nmemory=4M\nshmem=x:4M\nshmem=x:4M\n"), 1);
    assert_string_equal(told, "5: shmem 'x' was given on line 4 already\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),        cmocka_unit_test(test_disks),
        cmocka_unit_test(test_cdroms),        cmocka_unit_test(test_shared_disks),
        cmocka_unit_test(test_shared_memory), cmocka_unit_test(test_ports),
        cmocka_unit_test(test_sockets),       cmocka_unit_test(test_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
