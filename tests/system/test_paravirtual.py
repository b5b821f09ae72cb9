"""KVM's interface as stock Linux uses it: what the kernel has set up, and what that spares it, beside the same kernel without it.

The payload tests each part to the letter (test_pv.c, test_pv_smp.c of guests/payload).
"""
import os
import re

import images
import pytest
import vms
from monitor import Monitor

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "guest_calls.c")
VCPUS = 3           # on one core: one runs, two are preempted
COUNT = 100
ENABLED = 1
# By number, as msr.rst of the kernel's documentation has them.
WALL_CLOCK, SYSTEM_TIME, STEAL_TIME, EOI, POLL_CONTROL = 0x4b564d00, 0x4b564d01, 0x4b564d03, 0x4b564d04, 0x4b564d05
READ_MSR = "dd if=/dev/cpu/%d/msr bs=8 count=1 iflag=skip_bytes skip=%d 2>/dev/null | od -An -tx8"


def boot(machine, directory, pv, options=""):
    """APICv ends interrupts without exits by itself, so that its guests aren't offered EOI through memory."""
    path = os.path.join(str(directory), "initrd.gz")
    with open(path, "wb") as out:
        for part in (images.INITRD, images.MODULES, images.program(SOURCE, str(directory))):
            with open(part, "rb") as file:
                out.write(file.read())
    sections = ["[keel]\ndisable = apicv\n", vms.linux("vm", vcpus=VCPUS, pv=pv, cmdline="console=ttyS0" + options)]
    keel = vms.boot(machine, directory, sections, {"initrd.gz": path}, counted=True)
    keel.linux_up(300)
    return keel


def msr(keel, vcpu, number):
    return int(keel.shell(READ_MSR % (vcpu, number)), 16)


def shootdowns(keel):
    """Interrupts that CPUs took to flush their TLBs for another one."""
    return sum(int(count) for count in keel.shell("grep TLB: /proc/interrupts").split()[1:VCPUS + 1])


def calls(keel):
    """Hypercalls, of all vCPUs."""
    return sum(int(row["hypercall"]) for row in Monitor(keel).enter().table("stats vm") if "vcpu" in row)


def back(keel):
    """From the monitor's prompt to the VM."""
    keel.machine.send("\r")


def run(keel, what):
    found = re.search(r"(\d+) in (\d+) us", keel.shell("/program %s %d" % (what, COUNT), 120))
    assert int(found.group(1)) == COUNT
    return int(found.group(2))


def test_linux_uses_what_it_is_offered(machine, tmp_path):
    """Each MSR is as the kernel's own drivers set it, in all CPUs; its clock is stable; what isn't running isn't interrupted."""
    keel = boot(machine, tmp_path, "kvm", " cpuidle_haltpoll.force=1")
    assert keel.shell("insmod /modules/msr.ko; echo $?") == "0"
    for vcpu in range(VCPUS):
        for number in (SYSTEM_TIME, STEAL_TIME, EOI):
            value = msr(keel, vcpu, number)
            assert value & ENABLED and value > 1, (vcpu, hex(number), hex(value))
        # Its idle driver polls by itself, and asks the host not to.
        assert msr(keel, vcpu, POLL_CONTROL) == 0
    assert keel.shell("cat /sys/devices/system/cpu/cpuidle/current_driver") == "haltpoll"
    assert msr(keel, 0, WALL_CLOCK) != 0
    said = "\n".join(vms.output(keel, "vm"))
    # The kernel says so only while kvm-clock has its stable bit.
    for wanted in (r"kvm-clock: using sched offset", r"sched_clock: Marking stable"):
        assert re.search(wanted, said), wanted
    before = shootdowns(keel)
    run(keel, "flushes")
    flushed = shootdowns(keel) - before
    assert flushed < COUNT / 2, flushed
    before = calls(keel)
    back(keel)
    took = run(keel, "barriers")
    called = calls(keel) - before
    back(keel)
    print("shootdowns %d, calls %d, barriers %d us" % (flushed, called, took))
    # About one for each barrier, to interrupt the others or to have one of them run; where none runs, there is nothing to ask for.
    assert called >= COUNT * 0.8, called
    assert keel.power_off() == "clean"


def test_linux_without(machine, tmp_path):
    """What the same costs a kernel that isn't offered any of it."""
    keel = boot(machine, tmp_path, "none")
    before = shootdowns(keel)
    run(keel, "flushes")
    flushed = shootdowns(keel) - before
    assert flushed >= COUNT, flushed
    assert calls(keel) == 0
    back(keel)
    assert keel.power_off() == "clean"
