"""The small virtio devices with a stock kernel's own drivers: random numbers, the console."""
import re

import pytest
import virtio
import vms
from monitor import Monitor

# Disks and networks go through the same rings and interrupts on Bochs, which is slow.
pytestmark = pytest.mark.only("qemu-svm", "qemu-kvm", why="the models are the same, and Bochs is slow")


def test_random_numbers(machine, tmp_path):
    """The kernel takes the device, and what comes out of it differs from one read to the next."""
    command = virtio.run(virtio.loading("virtio-rng"), "cat /sys/class/misc/hw_random/rng_current",
                         "dd if=/dev/hwrng bs=64 count=4 2>/dev/null | hexdump -C", "dd if=/dev/hwrng bs=64k count=4 2>/dev/null | gzip | wc -c")
    sections = [virtio.section("vm", rng="yes", cmdline="console=ttyS0 quiet " + command)]
    keel = virtio.boot(machine, tmp_path, sections, counted=True, memory=512)
    assert keel.finish(300) == "clean"
    output = "\n".join(vms.output(keel, "vm"))
    assert "virtio_rng.0" in output
    lines = re.findall(r"^[0-9a-f]{8}  ((?:[0-9a-f]{2} +){16})", output, re.M)
    assert len(lines) == len(set(lines)) == 16
    assert int(re.findall(r"^(\d+)$", output, re.M)[-1]) > 200000


def test_console(machine, tmp_path):
    """hvc0 is the VM's console as soon as its driver is there: for what is written, and for what is typed."""
    command = virtio.run(virtio.loading("virtio_console"), "exec </dev/hvc0 >/dev/hvc0 2>&1", "stty -echo", "echo ready-$((40+2))",
                         "read line", "echo got-$line", "seq 2000")
    sections = [virtio.section("vm", virtio_console="yes", cmdline="console=ttyS0 quiet " + command)]
    keel = virtio.boot(machine, tmp_path, sections, counted=True, memory=512)
    keel.machine.expect("ready-42", 120)
    keel.machine.send("some text\r")
    keel.machine.expect("got-some text", 30)
    assert keel.finish(120) == "clean"
    lines = vms.output(keel, "vm")
    assert lines[lines.index("1"):][:2000] == [str(n) for n in range(1, 2001)]


def test_ports(machine, tmp_path):
    """Ports with names, in both directions, each with a console of its own; typed text goes where `console` leads."""
    command = virtio.run(virtio.loading("virtio_console"), "for p in 1 2; do until grep . /sys/class/virtio-ports/vport0p$p/name 2>/dev/null; do usleep 1000; done; done",
                         "seq 1000 >/dev/vport0p1", "exec 3<>/dev/vport0p2", "echo from-the-port >&3", "read line <&3", "echo got-$line >&3")
    sections = [virtio.section("vm", virtio_console="yes", cmdline="console=ttyS0 quiet " + command) + "virtio_port = log\nvirtio_port = talk\n"]
    keel = virtio.boot(machine, tmp_path, sections, counted=True, memory=512)
    keel.machine.expect(r"vm.talk\| from-the-port", 120)
    Monitor(keel).enter()
    keel.machine.send("console vm.talk\r")
    keel.machine.send("some text\n")
    keel.machine.expect("got-some text", 30)
    assert keel.finish(120) == "clean"
    assert [line for line in vms.output(keel, "vm") if line in ("log", "talk")] == ["log", "talk"]
    assert [line for line in vms.output(keel, "vm.log") if line] == [str(n) for n in range(1, 1001)]
