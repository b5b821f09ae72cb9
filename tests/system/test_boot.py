"""A stock Debian kernel from GRUB to its shell on Keel, and what a person sees there."""
import re
import time

import images
import pytest
from keel import vm_output

# Lines of level warning or worse that the bare kernel does not print: pattern, reason.
OWN_WARNINGS = [
    ("appears to have AUX port disabled", "there is a keyboard and no mouse"),
]

SHOW_WARNINGS = "dmesg -r | grep -E '^<[0-4]>' | sed 's/^<[0-9]*>//'"


def warnings(keel):
    """What the kernel warned of, without times and numbers."""
    lines = [re.sub(r"^\[\s*[0-9.]+\] ", "", line) for line in keel.shell(SHOW_WARNINGS).split("\n")]
    return {re.sub(r"0x[0-9a-f]+|\d+", "#", line) for line in lines if line.strip()}


@pytest.fixture(scope="module")
def linux(module_machine):
    """One machine that the tests of this file share, at the guest's prompt."""
    keel = module_machine.keel(images.linux_modules(stock=True), counted=True)
    keel.linux_up()
    keel.warned = warnings(keel)
    return keel


def test_events(linux, kind):
    """The order of the first events, and what they say."""
    events = linux.events()
    order = [event["event"] for event in events]
    assert order[:5] == ["boot", "cap", "plan", "audit", "vm"]
    boot, caps, plan, audit, vm = events[:5]
    assert kind.vendor in (None, boot["vendor"])
    assert boot["firmware"] == "bios" and boot["cores"] == "1" and boot["version"]
    assert caps["list"]
    assert plan["vm"] == vm["name"] and plan["cmdline"] == "console=ttyS0"
    assert audit["result"] == "ok" and int(audit["leaves"]) > 0
    assert vm["state"] == "running"


def test_lines(linux):
    """Line mode: every line is the hypervisor's or the VM's, from the first event on."""
    text = linux.machine.output()
    lines = text[text.index("keel["):].replace("\r", "").split("\n")[:-1]
    assert [line for line in lines if not re.match(r"keel\[[0-9.]+\] |vm0\| ", line)] == []


def test_kernel(linux):
    with open(images.KERNEL.replace("vmlinuz", "version")) as file:
        assert linux.shell("uname -r").strip() == file.read().strip()


def test_typing(linux):
    """A long line reaches the guest as it was typed."""
    text = "The quick brown fox jumps over the lazy dog. " * 4
    assert linux.shell("echo '%s'" % text.strip()) == text.strip()


def test_interrupt_key(linux):
    """Ctrl-C ends what runs in the foreground, and the shell goes on."""
    linux.begin("cat")
    linux.machine.send("mirror\r")
    linux.machine.expect(r"mirror\r?\n(?s:.*)mirror\r?\n")    # the terminal's echo, then that of cat
    linux.machine.send("\x03")
    linux.find_prompt(banner=False)
    assert linux.shell("echo again") == "again"


def test_cpuinfo(linux, kind):
    info = linux.shell("cat /proc/cpuinfo")
    flags = re.search(r"^flags\s*:\s*(.*)$", info, re.M).group(1).split()
    assert len(re.findall(r"^processor", info, re.M)) == 1
    assert "hypervisor" in flags
    assert {"lm", "nx", "tsc", "apic", "x2apic", "tsc_deadline_timer", "fxsr", "sse2"} <= set(flags)
    assert not {"vmx", "svm", "mwait", "monitor"} & set(flags)
    vendor = {"svm": "AuthenticAMD", "vmx": "GenuineIntel"}.get(kind.vendor)
    assert vendor is None or vendor in info


def test_faults_of_other_cpus(linux):
    """A kernel in a VM that isn't told otherwise takes indirect target selection for granted on an Intel CPU, and every return costs it a jump."""
    assert linux.shell("cat /sys/devices/system/cpu/vulnerabilities/indirect_target_selection") == "Not affected"


def test_devices(linux):
    """The PC of DESIGN 5 is found by the kernel's own drivers."""
    interrupts = linux.shell("cat /proc/interrupts")
    assert re.search(r"IO-APIC.*\bttyS0", interrupts)
    assert re.search(r"IO-APIC.*\bacpi", interrupts)
    assert re.search(r"IO-APIC.*\brtc0", interrupts)
    log = linux.shell("dmesg")
    assert re.search(r"ttyS0 at I/O 0x3f8 \(irq = 4.*16550A", log)
    assert "Hypervisor detected" in log
    assert linux.shell("cat /sys/class/rtc/rtc0/name").startswith("rtc_cmos")


def interrupt_count(linux, row):
    text = linux.shell("cat /proc/interrupts")
    return int(re.search(r"^\s*%s:\s+(\d+)" % row, text, re.M).group(1))


def test_interrupts_tick(linux):
    timer, serial = interrupt_count(linux, "LOC"), interrupt_count(linux, "4")
    linux.shell("sleep 1; echo some output that takes interrupts")
    assert interrupt_count(linux, "LOC") > timer
    assert interrupt_count(linux, "4") > serial


def test_reboot(linux):
    """The guest's reboot restarts the VM, not the machine."""
    linux.type("reboot")
    linux.event("vm", state="restarting", reason="reboot")
    linux.linux_up()
    assert linux.shell("cat /proc/cmdline").strip() == "console=ttyS0"
    assert len(linux.events("boot")) == 1
    assert len([line for line in vm_output(linux.machine.output()) if "KEEL-GUEST-UP" in line]) == 2


def test_power_off(linux):
    assert linux.power_off() == "clean"
    assert linux.events("vm")[-1]["state"] == "stopped"
    assert linux.events("vm")[-1]["reason"] == "poweroff"
    assert linux.events("exit-stats")
    assert [event["status"] for event in linux.events("poweroff")] == ["0"]


def test_warnings(linux, machine):
    """dmesg had no warning and no error that the same kernel does not have on the bare machine."""
    bare = machine.bare(counted=True)
    bare.linux_up()
    extra = linux.warned - warnings(bare)
    assert [line for line in sorted(extra) if not any(re.search(pattern, line) for pattern, _ in OWN_WARNINGS)] == []


BOOT = 20       # seconds of Bochs' time from its start to the guest's first process, at most: 100 million instructions each


def machine_seconds(machine, sleep):
    """How long the machine is on while a guest boots and sleeps so long, by the emulator's own clock."""
    keel = machine.keel(cmdline="console=ttyS0 quiet keel.run=sleep+%d" % sleep, counted=True)
    keel.linux_up()
    assert keel.finish(120) == "clean"
    return keel.machine.ticks() / keel.machine.ips()


RIGHT = (4.75, 5.25)    # seconds for five of them


def sleep(keel):
    """How long a guest's sleep of five seconds takes by the host's clock."""
    mark = keel.begin("sleep 5")
    begin = time.monotonic()
    keel.end(mark)
    return time.monotonic() - begin


def test_time(machine, kind):
    """`sleep 5` takes five seconds within 5 %: of the host's clock, or of the emulator's where the two have nothing in common."""
    if kind.real_time:
        keel = machine.linux(cmdline="console=ttyS0 quiet")
        keel.shell("true")
        # A busy host can let us see its begin or its end late, once.
        tries = (sleep(keel) for _ in range(3))
        assert any(RIGHT[0] <= took <= RIGHT[1] for took in tries)
    else:
        # A hundred times the sleep makes the boot small. Idle time costs nothing there.
        took = (machine_seconds(machine, 500) - BOOT / 2) / 100
        assert RIGHT[0] <= took <= RIGHT[1]
