"""A stock kernel of several CPUs under load: Debian's stress-ng, hackbench and cyclictest, and CPUs that come and go.

On machines that count instructions for time and are slow ones, so that a busy host can't look like a stall: for seconds, and in
`make soak` for minutes. KEEL_LOAD_REAL=1 gives the latter QEMU's own threads and the host's time, which the host may take away as it
likes, and where a machine may end by itself (README, Known limits).
"""
import os
import re

import images
import pytest
import vms
from test_smp import complaints, cpus_online, has_steady_tsc

pytestmark = pytest.mark.cores_at_once

RT = os.path.join(images.TOP, "build", "guest", "rt.gz")
STRESS = os.path.join(images.TOP, "build", "guest", "stress.gz")

# Of the guest's time, for `make soak` alone.
SECONDS = int(os.environ.get("KEEL_LOAD_SECONDS") or 0)
REAL_TIME = bool(os.environ.get("KEEL_LOAD_REAL"))

# What schedules, interrupts, maps and forks; each kind on all CPUs.
STRESSORS = "cpu switch futex fork pipe timer mmap sem".split()
# Signals as fast as timers can be armed: they take all of a CPU of 16 MIPS, of which QEMU has eight at once, and for so long that its
# kernel hears nothing else of it (an RCU stall, in get_signal). In tests of seconds alone.
HRTIMERS = ["hrtimers"]
# For a machine that has the time.
MORE = "affinity clock membarrier msg sigq tlb-shootdown vm yield".split()


def initrd_with(directory, archives):
    """The kernel takes one initramfs behind the other."""
    path = os.path.join(str(directory), "initrd.gz")
    with open(path, "wb") as out:
        for archive in [images.INITRD] + archives:
            with open(archive, "rb") as file:
                out.write(file.read())
    return path


def boot(machine, directory, vcpus, archives, memory="256M", **options):
    """A VM with the stock kernel and these programs, at its shell."""
    section = vms.linux("vm", vcpus=vcpus, memory=memory, cmdline="console=ttyS0 quiet")
    replaced = {"initrd.gz": initrd_with(directory, archives)}
    keel = vms.boot(machine, directory, [section], replaced, **options)
    keel.linux_up(300)
    assert cpus_online(keel) == "0-%d" % (vcpus - 1)
    return keel


def uptime(keel):
    return float(keel.shell("cat /proc/uptime").split()[0])


def stress(keel, vcpus, seconds, kinds):
    """All stressors at once, so that CPUs are never idle. In less than minutes not all of them get something done."""
    words = " ".join("--%s %d" % (kind, vcpus) for kind in kinds)
    # By default one of mmap's or vm's operations is on 256 MiB: on a slow machine not one of them gets done.
    report = keel.shell("stress-ng %s --mmap-bytes 4M --vm-bytes 4M --temp-path /tmp --timeout %d --metrics-brief 2>&1"
                        % (words, seconds), 60 + 20 * seconds)
    print(report)
    assert "successful run completed" in report, report
    # Of MORE, the share of each of 16 CPUs may be too little for one operation.
    for kind in [kind for kind in kinds if vcpus <= 8 or kind not in MORE] if seconds >= 120 else ():
        assert re.search(r"metrc:.* %s +[1-9]" % kind, report), (kind, report)


def hackbench(keel, groups, loops):
    """Messages through pipes, and through sockets, among 20 processes a group."""
    for kind in ("-p", ""):
        report = keel.shell("hackbench %s -g %d -f 10 -l %d 2>&1" % (kind, groups, loops), 300 + loops)
        assert re.search(r"^Time: \d", report, re.M), report


def cyclictest(keel, vcpus, loops):
    """A thread on each CPU that sleeps for a millisecond, `loops` times, beside a load. Gives the worst latency in us.

    16 CPUs of 8 MIPS couldn't do that many wake-ups: they sleep twice as long, half as often.
    """
    longer = 2 if vcpus > 8 else 1
    load = "hackbench -p -g 1 -f 10 -l 100000 >/dev/null 2>&1 & load=$!; "
    keel.shell("mkdir -p /dev/shm; mount -t tmpfs tmpfs /dev/shm")
    report = keel.shell(load + "cyclictest -q -m -p 90 -t %d -a -i %d -l %d 2>&1; kill $load"
                        % (vcpus, 1000 * longer, loops // longer),
                        300 + loops // 20)
    worst = [int(value) for value in re.findall(r"^T:.*Max: +(\d+)", report, re.M)]
    assert len(worst) == vcpus, report
    return max(worst)


def check_end(keel, vcpus):
    """Nothing was said; all CPUs are there, and the clock is the one of the start."""
    found = complaints(keel)
    assert not found, "%s\n%s" % (found, keel.shell("dmesg | tail -n 100", 60))
    assert cpus_online(keel) == "0-%d" % (vcpus - 1)
    source = keel.shell("cat /sys/devices/system/clocksource/clocksource0/current_clocksource")
    assert source == ("tsc" if has_steady_tsc(keel) else "kvm-clock")
    assert keel.power_off() == "clean"


def off_and_on(keel, vcpus):
    """Each CPU but the first goes and comes back, and then all of them at once."""
    others = " ".join(str(cpu) for cpu in range(1, vcpus))
    put = "echo %d >/sys/devices/system/cpu/cpu$cpu/online || exit 1; "
    keel.shell("(for cpu in %s; do %s%s done)" % (others, put % 0, put % 1), 300)
    assert cpus_online(keel) == "0-%d" % (vcpus - 1)
    keel.shell("(for cpu in %s; do %s done)" % (others, put % 0), 300)
    assert cpus_online(keel) == "0"
    keel.shell("(for cpu in %s; do %s done)" % (others, put % 1), 300)
    assert cpus_online(keel) == "0-%d" % (vcpus - 1)


def work(keel, vcpus, seconds, kinds):
    """All of it: CPUs come and go before and after; messages, timers, then all kinds of stress at once."""
    begin = uptime(keel)
    off_and_on(keel, vcpus)
    hackbench(keel, 1, 10 * seconds)
    worst = cyclictest(keel, vcpus, 250 * seconds)
    stress(keel, vcpus, seconds, kinds)
    off_and_on(keel, vcpus)
    print("load: %.0f s, cyclictest's worst: %d us" % (uptime(keel) - begin, worst))
    check_end(keel, vcpus)


@pytest.mark.skipif(not SECONDS, reason="it takes minutes: make soak")
@pytest.mark.parametrize("vcpus,cores", [(2, 2), (4, 4), (8, 2), (8, 8), (16, 2), (16, 16)])
def test_minutes(kind, machine, tmp_path, vcpus, cores):
    options, kinds = {"cores": cores, "counted": not REAL_TIME, "shift": 3}, STRESSORS + MORE
    if kind.vendor == "vmx":
        if vcpus > 4:
            pytest.skip("Bochs is slow: up to four CPUs there, more on QEMU")
        options, kinds = {"cores": 1, "ips": 20000000}, STRESSORS
    keel = boot(machine, tmp_path, vcpus, [RT, STRESS], memory="512M", limit=600 + 40 * SECONDS, **options)
    work(keel, vcpus, SECONDS, kinds)


@pytest.mark.only("qemu-svm", why="Bochs is too slow for so many CPUs; the vendors' part is in the one of two CPUs")
def test_eight_cpus(machine, tmp_path):
    work(boot(machine, tmp_path, 8, [RT, STRESS], memory="512M", counted=True, shift=3), 8, 2, STRESSORS + HRTIMERS)


def test_scheduling_load(kind, machine, tmp_path):
    """Also on Bochs, with two cores."""
    options = {"ips": 20000000, "cores": 2} if kind.vendor == "vmx" else {"counted": True, "shift": 4}
    keel = boot(machine, tmp_path, 2, [RT], **options)
    begin = uptime(keel)
    off_and_on(keel, 2)
    hackbench(keel, 1, 200)
    worst = cyclictest(keel, 2, 5000)
    print("load: %.0f s, cyclictest's worst: %d us" % (uptime(keel) - begin, worst))
    check_end(keel, 2)
