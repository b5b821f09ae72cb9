#include "tests/unit/config_bench.h"

static void expect_good_line(const char *line)
{
    char text[6000];

    snprintf(text, sizeof(text), "[vm a]\nkernel=k\nmemory=4M\n%s", line);
    expect(text, "");
    assert_false(c.vms[0].bad);
}

static void expect_keel(const char *line, const char *sentence)
{
    char text[1024], fault[512] = "";

    snprintf(text, sizeof(text), "[keel]\n%s\n[vm a]\nkernel=k\nmemory=4M\n", line);
    if (sentence)
        snprintf(fault, sizeof(fault), "2: %s\n", sentence);
    expect(text, fault);
    assert_false(c.vms[0].bad);
}

static void test_everything(void **state)
{
    (void)state;
    const struct config_vm *vm = &c.vms[0];

    expect("# two VMs\r\n"
           "[keel]   # what isn't about a VM\r\n"
           "on_idle = monitor\r\n"
           "disable = apicv, smap,nrips\r\n"
           "log=debug\r\n"
           "console = line\r\n"
           "serial = com2,9600\r\n"
           "pool = 16M\r\n"
           "panic = reboot\r\n"
           "\r\n"
           "\t[vm web]\r\n"
           "kernel  = vmlinuz           # a file\r\n"
           "initrd  = initrd.gz\r\n"
           "initrd  = more/initrd#2.gz\r\n"
           "cmdline = console=ttyS0 root=/dev/vda#1 \t # not this\r\n"
           "memory  = 512M\r\n"
           "vcpus   = 2\r\n"
           "cpus    = 2-3, 5,64-65,255\r\n"
           "weight  = 10000\r\n"
           "cap     = 50\r\n"
           "disk    = rootfs.img\r\n"
           "disk    = data.img,ro\r\n"
           "net     = lan0\r\n"
           "net     = lan1,mac=52:54:00:aB:cd:Ef\r\n"
           "on_crash = hold\r\n"
           "on_reboot = stop\r\n"
           "hide    = x2apic, avx512f\r\n"
           "autostart = no\r\n"
           "debug_exit = yes\r\n"
           "watchdog = 30\r\n"
           "[ vm \t fw-1.2_x ]\r\n"
           "firmware = bios.bin\r\n"
           "memory=0x400000\r\n"
           "cmdline =",
           "");
    assert_int_equal(c.keel.on_idle, IDLE_MONITOR);
    assert_string_equal(c.keel.disable, "apicv,smap,nrips");
    assert_true(c.keel.log_set && c.keel.log == LOG_DEBUG);
    assert_int_equal(c.keel.console, CONSOLE_LINE);
    assert_true(c.keel.serial == SERIAL_PORT && c.keel.serial_port == 0x2f8 && c.keel.serial_baud == 9600);
    assert_int_equal(c.keel.pool, 16 * MiB);
    assert_int_equal(c.keel.on_panic, PANIC_REBOOT);
    assert_int_equal(c.vm_count, 2);

    assert_string_equal(vm->name, "web");
    assert_int_equal(vm->line, 11);
    assert_string_equal(vm->kernel.name, "vmlinuz");
    assert_string_equal(vm->kernel.key, "kernel");
    assert_int_equal(vm->kernel.line, 12);
    assert_null(vm->firmware.name);
    assert_int_equal(vm->initrd_count, 2);
    assert_string_equal(vm->initrds[0].name, "initrd.gz");
    assert_string_equal(vm->initrds[1].name, "more/initrd#2.gz");
    assert_int_equal(vm->initrds[1].line, 14);
    assert_string_equal(vm->cmdline, "console=ttyS0 root=/dev/vda#1");
    assert_int_equal(vm->memory, 512 * MiB);
    assert_int_equal(vm->vcpus, 2);
    const uint64_t cores[CONFIG_MAX_CORES / 64] = {BIT(2) | BIT(3) | BIT(5), 3, 0, BIT(63)};
    assert_memory_equal(vm->cores, cores, sizeof(cores));
    assert_int_equal(vm->weight, 10000);
    assert_int_equal(vm->cap, 50);
    assert_int_equal(vm->disk_count, 2);
    assert_string_equal(vm->disks[0].file.name, "rootfs.img");
    assert_int_equal(vm->disks[0].kind, DISK_WRITE);
    assert_string_equal(vm->disks[1].file.name, "data.img");
    assert_int_equal(vm->disks[1].kind, DISK_READ_ONLY);
    assert_int_equal(vm->net_count, 2);
    assert_string_equal(vm->nets[0].lan, "lan0");
    assert_false(vm->nets[0].has_mac);
    assert_string_equal(vm->nets[1].lan, "lan1");
    assert_true(vm->nets[1].has_mac);
    assert_memory_equal(vm->nets[1].mac, "\x52\x54\x00\xab\xcd\xef", 6);
    assert_int_equal(vm->on_crash, ON_CRASH_HOLD);
    assert_int_equal(vm->on_reboot, ON_REBOOT_STOP);
    assert_int_equal(vm->hidden_count, 2);
    assert_string_equal(vm->hidden[0]->name, "x2apic");
    assert_string_equal(vm->hidden[1]->name, "avx512f");
    assert_false(vm->autostart);
    assert_true(vm->debug_exit);
    assert_int_equal(vm->watchdog, 30);

    vm++;
    assert_string_equal(vm->name, "fw-1.2_x");
    assert_string_equal(vm->firmware.name, "bios.bin");
    assert_null(vm->kernel.name);
    assert_int_equal(vm->memory, 4 * MiB);
    assert_string_equal(vm->cmdline, "");
}

static void test_defaults(void **state)
{
    (void)state;
    const struct config_vm *vm = &c.vms[0];
    const struct options none = {0};

    expect("[vm a]\nkernel=k\nmemory=1G", "");
    assert_memory_equal(&c.keel, &none, sizeof(none));
    assert_string_equal(vm->cmdline, "");
    assert_int_equal(vm->vcpus, 1);
    assert_int_equal(vm->cores[0] | vm->cores[1] | vm->cores[2] | vm->cores[3], 0);
    assert_int_equal(vm->weight, 256);
    assert_int_equal(vm->cap, 0);
    assert_int_equal(vm->watchdog, 0);
    assert_int_equal(vm->on_crash, ON_CRASH_STOP);
    assert_int_equal(vm->on_reboot, ON_REBOOT_RESTART);
    assert_true(vm->autostart);
    assert_false(vm->debug_exit);
    assert_int_equal(vm->initrd_count + vm->disk_count + vm->net_count + vm->hidden_count, 0);
}

static void test_no_vm(void **state)
{
    (void)state;
    expect("", "1: there is no VM: add a section [vm NAME]\n");
    expect("# nothing\n\n", "2: there is no VM: add a section [vm NAME]\n");
    expect("[keel]\nlog=info\n", "2: there is no VM: add a section [vm NAME]\n");
}

static void test_sections(void **state)
{
    (void)state;
    static const char *const rest = "kernel=k\nmemory=4M\n";
    char text[512];

    expect("memory = 4M\nfoo\n[vm a]\nkernel=k\nmemory=4M\n",
           "1: 'memory = 4M' stands before the first section\n"
           "2: 'foo' stands before the first section\n");
    assert_false(c.vms[0].bad);
    /* What an unknown section holds is not told line by line. */
    expect("[vms a]\nkernel=k\nfoo\n[vm a]\nkernel=k\nmemory=4M\n[net]\nx=y\n",
           "1: there is no section [vms a], only [keel] and [vm NAME]\n"
           "7: there is no section [net], only [keel] and [vm NAME]\n");
    assert_int_equal(c.vm_count, 1);
    expect("[keel now]\n[vm a]\nkernel=k\nmemory=4M\n",
           "1: there is no section [keel now], only [keel] and [vm NAME]\n");
    expect("[keel]\n[vm a]\nkernel=k\nmemory=4M\n[keel]\nlog=loud\n",
           "5: there is a section [keel] on line 1 already\n"
           "6: log takes error, warn, info or debug, not 'loud'\n");
    assert_false(c.vms[0].bad);

    snprintf(text, sizeof(text), "[vm a\n%s", rest);
    expect(text, "1: the ']' of this section is missing\n");
    assert_true(c.vm_count == 1 && c.vms[0].bad);
    snprintf(text, sizeof(text), "[vm a] b\n%s", rest);
    expect(text, "1: there is more after the ']'\n");
    assert_true(c.vm_count == 1 && c.vms[0].bad);
    snprintf(text, sizeof(text), "[vm]\n%s", rest);
    expect(text, "1: this VM has no name: a section begins with [vm NAME]\n");
    assert_int_equal(c.vm_count, 0);
    snprintf(text, sizeof(text), "[]\n[vm a]\n%s", rest);
    expect(text, "1: there is no section [], only [keel] and [vm NAME]\n");
}

/* A header that can't be read ends the section before it all the same. */
static void test_unreadable_section(void **state)
{
    (void)state;
    expect("[vm a]\nkernel=k\nmemory=4M\n \t[vm\ab]\nkernel=k\nfoo=bar\n[keel]\nlog=info\n",
           "4: byte 0x07 in column 6 is not text\n");
    assert_int_equal(c.vm_count, 1);
    assert_false(c.vms[0].bad);
    assert_true(c.keel.log_set);
}

static void test_names(void **state)
{
    (void)state;
    static const char *const bad[] = {"we b", "-a",       ".",   "a|",
                                      "a/b",  "\xc3\xa4", "a=b", "01234567890123456789012345678901"};
    char text[256], fault[256];

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        /* The section's own lines are checked all the same. */
        snprintf(text, sizeof(text), "[vm %s]\nkernel=k\nmemory=1M\n[vm b]\nkernel=k\nmemory=4M\n", bad[i]);
        snprintf(fault, sizeof(fault),
                 "1: '%s' can't be a VM's name: 1 to 31 letters, digits, '.', '_' and '-', no sign first\n"
                 "3: memory takes a size from 4M upwards, such as 512M or 2G, not '1M'\n",
                 bad[i]);
        expect(text, fault);
        assert_int_equal(c.vm_count, 1);
        assert_string_equal(c.vms[0].name, "b");
        assert_false(c.vms[0].bad);
    }
    expect("[vm keel]\nkernel=k\nmemory=4M\n[vm keel2]\nkernel=k\nmemory=4M\n",
           "1: 'keel' can't be a VM's name: Keel's own lines begin with it\n");
    assert_int_equal(c.vm_count, 1);
    expect("[vm 0123456789012345678901234567890]\nkernel=k\nmemory=4M\n", "");
    expect("[vm a]\nkernel=k\nmemory=4M\n[vm a]\nkernel=j\nmemory=8M\n",
           "4: there is a VM 'a' on line 1 already\n");
    assert_int_equal(c.vm_count, 1);
    assert_false(c.vms[0].bad);
    assert_string_equal(c.vms[0].kernel.name, "k");
    assert_int_equal(c.vms[0].memory, 4 * MiB);
}

static void test_many_vms(void **state)
{
    (void)state;
    char text[8192] = "";

    for (uint32_t i = 0; i < 65; i++)
        sprintf(text + strlen(text), "[vm v%u]\nkernel=k\nmemory=4M\n", i);
    expect(text, "193: there are more than 64 VMs\n");
    assert_int_equal(c.vm_count, 64);
    for (uint32_t i = 0; i < 64; i++)
        assert_false(c.vms[i].bad);
    assert_string_equal(c.vms[63].name, "v63");
}

static void test_missing(void **state)
{
    (void)state;
    expect("[vm a]\n[vm b]\nkernel=k\nfirmware=f\nmemory=4M\n[vm c]\nkernel=k\n[vm d]\nmemory=4M\n[vm "
           "e]\nfirmware=f\nmemory=4M",
           "1: this VM has neither a kernel nor firmware\n"
           "1: this VM has no memory: add a line such as 'memory = 512M'\n"
           "2: this VM has a kernel (line 3) and firmware (line 4): one is to go\n"
           "6: this VM has no memory: add a line such as 'memory = 512M'\n"
           "8: this VM has neither a kernel nor firmware\n");
    assert_int_equal(c.vm_count, 5);
    for (uint32_t i = 0; i < 5; i++)
        assert_int_equal(c.vms[i].bad, i != 4);
}

static void test_lines(void **state)
{
    (void)state;
    expect_line("autostart", "there is no '=' in 'autostart'");
    expect_line("  = 5", "there is no key before the '='");
    expect_line("memroy = 4M", "there is no key 'memroy' in [vm NAME]");
    expect_line("Vcpus = 1", "there is no key 'Vcpus' in [vm NAME]");
    expect_line("pvh = kvm", "there is no key 'pvh' in [vm NAME]");
    expect_line("pv = xen", "pv takes none, kvm or hyperv, not 'xen'");
    expect_line("log = info", "there is no key 'log' in [vm NAME]");
    expect_line("memory = 8M", "memory was given on line 3 already");
    expect_line("kernel = j", "kernel was given on line 2 already");
    expect_line("cmdline = a\tb\a", "byte 0x07 in column 14 is not text");
    expect_line("vcpus = 1\x7f", "byte 0x7f in column 10 is not text");
    expect_line("vcpus\r = 1", "byte 0x0d in column 6 is not text");
    expect_line("a key that is much longer than any key that there is = 5",
                "there is no key 'a key that is much longer than any key that ...' in [vm NAME]");
    expect_good_line("cmdline = \xc3\xa4 \"quoted\" a = b");
    assert_string_equal(c.vms[0].cmdline, "\xc3\xa4 \"quoted\" a = b");
    assert_int_equal(parse("\xef\xbb\xbf[vm a]\nkernel=k\nmemory=4M"), 0);
    assert_int_equal(parse_bytes("[vm a]\nkernel=k\nmemory=4M\n\0", 27), 1);
    assert_string_equal(told, "4: byte 0x00 in column 1 is not text\n");
    assert_true(c.vms[0].bad);
}

static void test_long_lines(void **state)
{
    (void)state;
    char line[CONFIG_LINE_MAX + 2] = "cmdline=";

    memset(line + 8, 'x', CONFIG_LINE_MAX - 8);
    line[CONFIG_LINE_MAX] = '\0';
    expect_good_line(line);
    assert_int_equal(strlen(c.vms[0].cmdline), CONFIG_LINE_MAX - 8);
    line[CONFIG_LINE_MAX] = 'x';
    line[CONFIG_LINE_MAX + 1] = '\0';
    expect_line(line, "the line is longer than 4096 bytes");
}

/* What is kept has a limit, and so has the file. */
static void test_too_much_text(void **state)
{
    (void)state;
    static char text[CONFIG_TEXT_MAX + 1];
    size_t used = 0;

    for (uint32_t i = 0; i < 32; i++)
        used += (size_t)sprintf(text + used, "[vm v%u]\nkernel=k\nmemory=4M\ncmdline=%02032d\n", i, 0);
    expect(text, "");
    sprintf(text + used, "[vm last]\nkernel=k\nmemory=4M\ncmdline=%02032d\n", 0);
    expect(text, "132: the names and command lines are more than 64 KiB together\n");
    assert_int_equal(c.vm_count, 33);
    for (uint32_t i = 0; i < 33; i++)
        assert_int_equal(c.vms[i].bad, i == 32);

    memset(text, '#', sizeof(text));
    assert_int_equal(parse_bytes(text, sizeof(text)), 1);
    assert_string_equal(told, "1: the file is larger than 256 KiB\n");
    assert_int_equal(c.vm_count, 0);
}

static void test_values(void **state)
{
    (void)state;
#define NAME_TEXT "the name of a file without blanks, quotes and backslashes"
    expect_line("vcpus = 0", "vcpus takes a number from 1 to 64, not '0'");
    expect_line("vcpus = 65", "vcpus takes a number from 1 to 64, not '65'");
    expect_line("vcpus = two", "vcpus takes a number from 1 to 64, not 'two'");
    expect_line("vcpus =", "vcpus has no value: it takes a number from 1 to 64");
    expect_line("vcpus = # none", "vcpus has no value: it takes a number from 1 to 64");
    expect_line("weight = 0", "weight takes a number from 1 to 10000, not '0'");
    expect_line("weight = 10001", "weight takes a number from 1 to 10000, not '10001'");
    expect_line("weight = 1K", "weight takes a number from 1 to 10000, not '1K'");
    expect_line("cap = 101", "cap takes a number from 0 to 100, not '101'");
    expect_line("cap = -1", "cap takes a number from 0 to 100, not '-1'");
    expect_line("watchdog = 86401", "watchdog takes a number from 0 to 86400, not '86401'");
    expect_line("watchdog = 4294967297", "watchdog takes a number from 0 to 86400, not '4294967297'");
    expect_line("on_crash = burn", "on_crash takes stop, restart or hold, not 'burn'");
    expect_line("on_reboot = hold", "on_reboot takes restart or stop, not 'hold'");
    expect_line("autostart = true", "autostart takes yes or no, not 'true'");
    expect_line("debug_exit = 1", "debug_exit takes yes or no, not '1'");
    expect_line("hide = avx,warp,smep,weft", "there is no CPU feature 'warp' to hide\n"
                                             "4: there is no CPU feature 'weft' to hide");
    expect_line("hide = avx,,smep",
                "hide takes names of CPU features with commas between them, not 'avx,,smep'");
    expect_line("initrd = a b", "initrd takes " NAME_TEXT ", not 'a b'");
    expect_line("initrd = it's", "initrd takes " NAME_TEXT ", not 'it's'");
    expect_line("initrd = a\\b", "initrd takes " NAME_TEXT ", not 'a\\b'");
    expect_line("initrd = keel.conf", "initrd takes " NAME_TEXT ", not 'keel.conf'");
    expect_line("initrd =", "initrd has no value: it takes " NAME_TEXT);
}

static void test_limits(void **state)
{
    (void)state;
    expect_good_line("vcpus = 1\nweight = 1\ncap = 0\nwatchdog = 0");
    expect_good_line("vcpus = 64\nweight = 10000\ncap = 100\nwatchdog = 86400");
    assert_true(c.vms[0].vcpus == 64 && c.vms[0].weight == 10000 && c.vms[0].cap == 100);
    assert_int_equal(c.vms[0].watchdog, 86400);
}

static void test_memory(void **state)
{
    (void)state;
#define MEMORY_TEXT "2: memory takes a size from 4M upwards, such as 512M or 2G, not "
    expect("[vm a]\nmemory=512\nkernel=k", MEMORY_TEXT "'512'\n"); /* told once: it isn't missing, too */
    expect("[vm a]\nmemory=4095K\nkernel=k", MEMORY_TEXT "'4095K'\n");
    expect("[vm a]\nmemory=1T\nkernel=k", MEMORY_TEXT "'1T'\n");
    expect("[vm a]\nmemory=17179869184G\nkernel=k", MEMORY_TEXT "'17179869184G'\n");
    expect("[vm a]\nmemory=4096K\nkernel=k", "");
}

static void test_cores(void **state)
{
    (void)state;
    static const char *const bad[] = {"3-2",
                                      "a",
                                      "1-",
                                      "-1",
                                      "1,,2",
                                      "1,",
                                      "256",
                                      "0-256",
                                      "1-2-3",
                                      "1 2",
                                      "exclusive",
                                      "exclusive,1",
                                      "1,exclusive,2",
                                      "1,exclusive,exclusive"};
    char line[64], sentence[160];

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        snprintf(line, sizeof(line), "cpus = %s", bad[i]);
        snprintf(
            sentence, sizeof(sentence),
            "cpus takes numbers of cores from 0 to 255, such as 2-3,5, and perhaps ',exclusive', not '%s'",
            bad[i]);
        expect_line(line, sentence);
    }
    expect_good_line("cpus = 0-255");
    for (uint32_t i = 0; i < CONFIG_MAX_CORES / 64; i++)
        assert_int_equal(c.vms[0].cores[i], UINT64_MAX);
    assert_false(c.vms[0].exclusive);
    expect_good_line("cpus = 2-3 , exclusive");
    assert_true(c.vms[0].cores[0] == 0xc && c.vms[0].exclusive);
}

static void test_nets(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "lan 0",
        ",mac=52:54:00:12:34:56",
        "lan0,mac=",
        "lan0,mac=52:54:00:12:34",
        "lan0,mac=52:54:00:12:34:5g",
        "lan0,mac=52-54-00-12-34-56",
        "lan0,mac=53:54:00:12:34:56",
        "lan0,mac=00:00:00:00:00:00",
        "lan0,ip=1.2.3.4",
        "l,mac=52:54:00:12:34:56,mac=52:54:00:12:34:57",
        "l,mac=52:54:00:12:34:567",
    };
    char line[128], sentence[256];

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        snprintf(line, sizeof(line), "net = %s", bad[i]);
        snprintf(sentence, sizeof(sentence),
                 "net takes a switch's name, and perhaps ',mac=' with an address such as 52:54:00:12:34:56; "
                 "limits are ',fps=N', ',bps=SIZE', "
                 "not '%.44s%s'",
                 bad[i], strlen(bad[i]) > 47 ? "..." : bad[i] + strnlen(bad[i], 44));
        expect_line(line, sentence);
    }
}

/* A key can be given eight times; the ninth is a fault. */
static void expect_eight(const char *line)
{
    char text[256] = "[vm a]\nkernel=k\nmemory=4M\n", fault[128];

    for (int i = 0; i < 8; i++)
        strcat(strcat(text, line), "\n");
    expect(text, "");
    strcat(text, line);
    snprintf(fault, sizeof(fault), "12: %.*s is given more than 8 times\n", (int)strcspn(line, "="), line);
    expect(text, fault);
    assert_true(c.vms[0].bad);
}

static void test_too_many(void **state)
{
    (void)state;
    char hide[1024] = "hide=", fault[128];

    expect_eight("initrd=i");
    assert_int_equal(c.vms[0].initrd_count, 8);
    expect_eight("disk=d,ro");
    assert_int_equal(c.vms[0].disk_count, 8);
    expect_eight("net=lan0");
    assert_int_equal(c.vms[0].net_count, 8);
    for (uint32_t i = 0; i < 33; i++)
        sprintf(hide + strlen(hide), "%s%s", i ? "," : "", cpuid_features[i].name);
    snprintf(fault, sizeof(fault), "hide: '%s' is one feature more than 32", cpuid_features[32].name);
    expect_line(hide, fault);
    assert_int_equal(c.vms[0].hidden_count, 32);
}

static void test_keel(void **state)
{
    (void)state;
    expect_keel("colour = blue", "there is no key 'colour' in [keel]");
    expect_keel("memory = 4M", "there is no key 'memory' in [keel]");
    expect_keel("test = guard", "test can be given on the multiboot2 line only");
    expect_keel("cpus = 3", "cpus can be given on the multiboot2 line only");
    expect_keel("on_idle = sleep", "on_idle takes poweroff, reboot, halt or monitor, not 'sleep'");
    expect_keel("on_idle =", "on_idle has no value: it takes poweroff, reboot, halt or monitor");
    expect_keel("disable = smap, warp, weft", "there is no feature 'warp' to disable\n"
                                              "2: there is no feature 'weft' to disable");
    assert_string_equal(c.keel.disable, "smap");
    expect_keel("disable = smap,", "disable takes names of features with commas between them, not 'smap,'");
    expect_keel(
        "serial = com1,fast",
        "serial takes com1, com2, a port such as 0x3e8, or none, and perhaps a speed, as in com1,115200, "
        "not 'com1,fast'");
    expect_keel("pool = 1M", "pool takes a size from 4M upwards, not '1M'");
    expect_keel("limit = 0", "limit takes a number of seconds from 1 to 1000000000, not '0'");
    expect_keel("trace = 4095", "trace takes a size from 4K to 16M, for each core, not '4095'");
    expect_keel("trace = 17M", "trace takes a size from 4K to 16M, for each core, not '17M'");
    expect_keel("trace = 4K", NULL);
    assert_int_equal(c.keel.trace, 4 * KiB);
    expect_keel("limit = 60", NULL);
    assert_int_equal(c.keel.limit, 60);
    expect_keel("console = line", NULL);
    expect("[keel]\nlog=info\nlog=info\n[vm a]\nkernel=k\nmemory=4M\n",
           "3: log was given on line 2 already\n");
    expect_keel("panic = loudly", "panic takes halt, reboot or poweroff, not 'loudly'");
}

/* All faults are told, not just the first. */
static void test_many_faults(void **state)
{
    (void)state;
    expect("speed = 5\n[keel]\nlog = loud\n[vm a]\nkernel = k\nmemory = 3M\nvcpus = 99\nfoo = 1\nbar\n"
           "[vm b]\nkernel = k\nmemory = 8M\n",
           "1: 'speed = 5' stands before the first section\n"
           "3: log takes error, warn, info or debug, not 'loud'\n"
           "6: memory takes a size from 4M upwards, such as 512M or 2G, not '3M'\n"
           "7: vcpus takes a number from 1 to 64, not '99'\n"
           "8: there is no key 'foo' in [vm NAME]\n"
           "9: there is no '=' in 'bar'\n");
    assert_true(c.vms[0].bad);
    assert_false(c.vms[1].bad);
}

static bool lookup(void *ctx, const char *name)
{
    assert_ptr_equal(ctx, &c);
    return name[0] == 'k';
}

static void test_check(void **state)
{
    (void)state;
    assert_int_equal(parse("[vm a]\nkernel=k\nmemory=4M\ninitrd=k1\ninitrd=i2\ndisk=k3,ro\ndisk=d4\n"
                           "[vm b]\nmemory=4M\nfirmware=f\n[vm c]\nmemory=4M\nfirmware=k\n"),
                     0);
    assert_int_equal(config_check(&c, lookup, report, &c), 3);
    assert_string_equal(told,
                        "5: initrd 'i2' is missing\n7: disk 'd4' is missing\n10: firmware 'f' is missing\n");
    assert_true(c.vms[0].bad && c.vms[1].bad);
    assert_false(c.vms[2].bad);
    const char *const names[] = {"k", "k1", "i2", "k3", "d4"};
    for (uint32_t i = 0; i < ARRAY_SIZE(names); i++)
        assert_string_equal(config_file_at(&c.vms[0], i)->name, names[i]);
    assert_null(config_file_at(&c.vms[0], 5));
    assert_string_equal(config_file_at(&c.vms[1], 0)->key, "firmware");
    assert_null(config_file_at(&c.vms[1], 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_no_vm),
        cmocka_unit_test(test_sections),
        cmocka_unit_test(test_unreadable_section),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_many_vms),
        cmocka_unit_test(test_missing),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_too_much_text),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_cores),
        cmocka_unit_test(test_nets),
        cmocka_unit_test(test_too_many),
        cmocka_unit_test(test_keel),
        cmocka_unit_test(test_many_faults),
        cmocka_unit_test(test_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
