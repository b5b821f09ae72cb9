"""The virtual PC as a stock kernel finds it: command lines that use its other parts, clocks, registers, ways to reboot.

All machines count instructions for time: a busy host must not look like an unstable TSC to the guest.
"""
import os
import re

import images
import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
SLOW = "the models are the same on both vendors, and a boot takes more than a minute there"
REFUSED = re.compile(r"(?:read|write) of (?:0x[0-9a-f]+ to )?MSR (0x[0-9a-f]+) refused")
WARNINGS = "dmesg -r | grep -E '^<[0-4]>'"
COUNTED = {"counted": True, "memory": 512}
LOCAL_TIMER = r"LOC: +[1-9]"


def everywhere(options, interrupt):
    return pytest.param(options, interrupt, id=options.replace(" ", "+"))


def fast(options, interrupt):
    """A parameter for the faster back ends alone."""
    return pytest.param(options, interrupt, id=options.replace(" ", "+"),
                        marks=pytest.mark.only("qemu-svm", "qemu-kvm", why=SLOW))


# The kernel's options, and what must be in /proc/interrupts with them.
OPTIONS = [
    everywhere("lapic=notscdeadline nox2apic", LOCAL_TIMER),
    everywhere("nolapic", r" 0: .*XT-PIC .*timer"),
    fast("lapic=notscdeadline", LOCAL_TIMER),
    everywhere("nolapic_timer clocksource=hpet", r" 0: .*IO-APIC .*timer"),
    fast("nolapic_timer lapic=notscdeadline hpet=disable", r" 0: .*IO-APIC .*timer"),
    fast("noapic", r" 4: .*XT-PIC .*ttyS0"),
    fast("acpi=off", r" 4: .*XT-PIC .*ttyS0"),
    fast("nox2apic", r" 4: .*IO-APIC .*ttyS0"),
    fast("nosmp", r" 4: .*XT-PIC .*ttyS0"),
    fast("tsc=unstable", LOCAL_TIMER),
    fast("clocksource=acpi_pm", LOCAL_TIMER),
    fast("noxsave nopcid nosmap no5lvl", LOCAL_TIMER),
    fast("pci=off", LOCAL_TIMER),
]


def known(what, words):
    """The patterns of known.txt that apply; words are the vendor's name and those of the command line."""
    with open(os.path.join(HERE, "known.txt")) as file:
        rows = [[field.strip() for field in line.split("|")] for line in file if line.strip() and not line.startswith("#")]
    assert all(len(row) == 4 and row[3] for row in rows), "known.txt: each row has four fields"
    return [pattern for kind, where, pattern, _ in rows if kind == what and where in ["*"] + words]


def unknown_warnings(keel, words):
    lines = keel.shell(WARNINGS + "; true").split("\n")
    patterns = known("warning", words)
    return [line for line in lines if line and not any(re.search(pattern, line) for pattern in patterns)]


def unknown_msrs(keel, words):
    return set(REFUSED.findall(keel.machine.output())) - set(known("msr", words))


def vendor_of(keel):
    return keel.events("boot")[0]["vendor"]


@pytest.mark.parametrize("options, interrupt", OPTIONS)
def test_command_line(machine, options, interrupt):
    keel = machine.linux(cmdline="console=ttyS0 " + options, **COUNTED)
    words = [vendor_of(keel)] + options.split()
    assert unknown_warnings(keel, words) == []
    assert unknown_msrs(keel, words) == set()
    assert re.search(interrupt, keel.shell("sleep 1; cat /proc/interrupts"))
    if "acpi=off" not in words:
        assert keel.power_off() == "clean"


def with_programs(names, directory):
    """The initramfs with C programs of ours in it: guest_fpu.c as /fpu."""
    path = os.path.join(directory, "initrd.gz")
    with open(path, "wb") as out:
        for part in [images.INITRD] + [images.program(os.path.join(HERE, "guest_%s.c" % name), directory, name) for name in names]:
            with open(part, "rb") as file:
                out.write(file.read())
    return path


@pytest.fixture(scope="module")
def linux(module_machine, tmp_path_factory):
    initrd = with_programs(["fpu", "cpuid"], str(tmp_path_factory.mktemp("program")))
    keel = module_machine.keel([(images.KERNEL, "vmlinuz console=ttyS0"), (initrd, "initrd.gz")], **COUNTED)
    keel.linux_up()
    return keel


def flags_of(linux):
    return set(re.search(r"^flags\s*:\s*(.*)$", linux.shell("cat /proc/cpuinfo"), re.M).group(1).split())


def test_known(linux):
    """Nothing that isn't explained, with no option at all."""
    assert unknown_warnings(linux, [vendor_of(linux)]) == []
    assert unknown_msrs(linux, [vendor_of(linux)]) == set()


def test_vector_registers(linux):
    """Each process keeps its own, at the greatest width that CPUID shows."""
    flags = flags_of(linux)
    width = "avx512" if "avx512f" in flags else "avx" if "avx" in flags else "sse"
    assert linux.shell("/fpu", 120) == "fpu: %s in 4 processes, 0 failed" % width


def test_cpuid(linux):
    """Each leaf is the same, and each form of the instruction ends behind itself, whichever way its exit goes: single-stepped, anew, again."""
    assert linux.shell("/cpuid", 120) == "cpuid: 2160 answers, 75 lengths, 0 failed"


def test_memory_map(linux):
    memory = linux.shell("cat /proc/iomem")
    assert re.search(r"^00001000-0009fbff : System RAM", memory, re.M)
    assert re.search(r"^000e0000-000fffff : Reserved", memory, re.M)
    assert re.search(r"^00100000-[0-9a-f]+ : System RAM", memory, re.M)
    assert re.search(r"^c0000000-dfffffff : PCI Bus 0000:00", memory, re.M)
    assert re.search(r"^fec00000-fec003ff : IOAPIC 0", memory, re.M)
    assert re.search(r"^fed00000-fed003ff : HPET 0", memory, re.M)
    assert re.search(r"^fee00000-fee00fff : Local APIC", memory, re.M)
    ports = linux.shell("cat /proc/ioports")
    for line in ("0020-0021 : pic1", "0040-0043 : timer0", "0070-0071 : rtc0", "03f8-03ff : serial",
                 "0600-0603 : ACPI PM1a_EVT_BLK", "0608-060b : ACPI PM_TMR", "0cf8-0cff : PCI conf1"):
        assert line in ports


def interrupts(linux, line):
    return int(re.search(r"^\s*%d:\s+(\d+)" % line, linux.shell("cat /proc/interrupts"), re.M).group(1))


def test_clock_chip(linux):
    """The RTC shows the system's time, and its alarm rings."""
    before = interrupts(linux, 8)
    rtc, system = linux.shell("cat /sys/class/rtc/rtc0/since_epoch; date +%s").split()
    assert abs(int(rtc) - int(system)) <= 2
    linux.shell("echo +2 >/sys/class/rtc/rtc0/wakealarm; sleep 4")
    assert interrupts(linux, 8) > before


@pytest.mark.parametrize("source", ["acpi_pm", "hpet"])
def test_clock_source(linux, source):
    """It never goes back, and takes as long as the RTC for some seconds."""
    chosen = "/sys/devices/system/clocksource/clocksource0/current_clocksource"
    usual = linux.shell("cat " + chosen)
    linux.shell("echo %s >%s" % (source, chosen))
    assert linux.shell("cat " + chosen) == source
    times = linux.shell("for i in $(seq 300); do read up idle </proc/uptime; echo $up; done", 60).split()
    assert times == sorted(times, key=float)
    clock = "cat /sys/class/rtc/rtc0/since_epoch"
    first, second = linux.shell("%s; sleep 5; %s" % (clock, clock), 60).split()
    assert int(second) - int(first) in (5, 6)
    linux.shell("echo %s >%s" % (usual, chosen))


@pytest.mark.only("qemu-svm", "bochs-vmx", why="ten minutes pass at once only where idle time is skipped")
def test_system_control_interrupt(linux):
    """The PM timer's top bit changes within 600 s: with TMR_EN set in the PM1 enable register (0x602), that is an SCI."""
    before = interrupts(linux, 9)
    linux.shell(r"printf '\001' | dd of=/dev/port bs=1 seek=1538 conv=notrunc 2>/dev/null")
    linux.shell("sleep 610", 60)
    assert interrupts(linux, 9) > before


def test_power_off(linux):
    assert linux.power_off() == "clean"


def test_frequencies(machine):
    """The TSC's rate as the guest finds it, from CPUID on Intel and by measuring on AMD, is the rate that Keel measured."""
    keel = machine.keel(cmdline="console=ttyS0 apic=verbose keel.run=true", **COUNTED)
    assert keel.finish(120) == "clean"
    text = keel.machine.output()
    host = float(re.search(r"the TSC runs at ([0-9.]+) MHz", text).group(1))
    guest = float(re.search(r"tsc: Detected ([0-9.]+) MHz processor", text).group(1))
    assert abs(guest - host) / host < 100e-6
    if vendor_of(keel) == "vmx":
        assert not re.search(r"calibration using|Refined TSC|APIC timer calibration", text)


@pytest.mark.only("qemu-svm", "qemu-kvm", why=SLOW + "; the plain reboot and the triple fault are tested there elsewhere")
def test_reboot_methods(machine):
    """Every way that a PC can be reset restarts the VM; a triple fault is a crash."""
    keel = machine.linux(cmdline="console=ttyS0 quiet", **COUNTED)
    for method in ("kbd", "acpi", "acpi", "pci", "bios"):
        keel.shell("echo %s >/sys/kernel/reboot/type; echo 1 >/sys/kernel/reboot/force" % method)
        keel.machine.send("reboot\r")
        keel.event("vm", state="restarting", reason="reboot")
        keel.linux_up()
    keel.shell("echo triple >/sys/kernel/reboot/type; echo 1 >/sys/kernel/reboot/force")
    keel.machine.send("reboot\r")
    keel.event("vm", state="crashed")
    assert keel.finish() == "failed"
    assert len(keel.events("crash")) == 1 and len(keel.events("boot")) == 1
