"""Sockets between VMs: our own guests' driver on both back ends, and stock kernels with a program of ours."""
import os

import pytest

import images
import virtio
import vms
from monitor import Monitor

MODULES = ["vsock", "vmw_vsock_virtio_transport_common", "vmw_vsock_virtio_transport"]


def test_payloads(machine, tmp_path):
    """A stream under the receiver's credit, in packets larger than its buffers; resets from those who aren't there."""
    sections = [vms.vm("listens", cmdline="sockets=4", vsock=3), vms.vm("talks", cmdline="sockets=3", vsock=4, virtio_rings="split")]
    keel = vms.boot(machine, tmp_path, sections, counted=True, memory=256)
    assert keel.finish(120) == "clean"
    for name in "listens", "talks":
        assert vms.failures(keel, name) == []


def linuxes(machine, directory, commands):
    """VMs with the program, each with a number and what it is called with."""
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "guest_vsock.c")
    sections = [virtio.section(name, vsock=cid, memory="128M",
                               cmdline="console=ttyS0 quiet " + virtio.run(virtio.loading(*MODULES), "/program " + command))
                for name, (cid, command) in commands.items()]
    return virtio.boot(machine, directory, sections, archives=[images.program(source, str(directory))], counted=True, memory=640)


@pytest.mark.only("qemu-svm", "qemu-kvm", why="the models are the same, and Bochs is slow")
def test_linux(machine, tmp_path):
    """AF_VSOCK of a stock kernel: 2 MiB there and back, and refusals by a VM without a listener and where there is no VM."""
    keel = linuxes(machine, tmp_path, {"server": (10, "serve"), "client": (11, "talk 10")})
    assert keel.finish(300) == "clean"
    output = "\n".join(vms.output(keel, "client"))
    for line in ("echoed 2097152 bytes, 0 wrong", "no listener: Connection reset by peer", "no VM: Connection reset by peer"):
        assert line in output


@pytest.mark.only("qemu-svm", "qemu-kvm", why="the models are the same, and Bochs is slow")
def test_one_stands_still(machine, tmp_path):
    """A stream to a VM that is paused waits, others of the same sender don't, and nothing of it is lost. When a VM has gone, those
    who wait for it hear of that at once."""
    keel = linuxes(machine, tmp_path, {"sink": (12, "sink"), "server": (10, "serve"), "client": (11, "past 12 10")})
    keel.machine.expect(r"client\| pours", 300)
    monitor = Monitor(keel).enter()
    monitor.ask("vm pause sink")
    monitor.vm("sink", "paused", 60)
    keel.machine.expect(r"client\| stands still", 300)
    keel.machine.expect(r"client\| echoed 2097152 bytes, 0 wrong", 300)
    assert int(monitor.table("dev client")[-2]["refused"]) < 100       # of those who weren't there yet
    monitor.ask("vm resume sink")
    poured, sank = keel.expect_all([r"client\| poured (\d+) bytes", r"sink\| sank (\d+) bytes, (\d+) wrong"], 300)
    assert (sank.group(1), sank.group(2)) == (poured.group(1), "0") and int(poured.group(1)) > 2 << 20
    monitor.ask("vm stop sink")
    keel.machine.expect(r"client\| its end: (0|-1 Connection reset by peer)", 60)
    assert keel.finish(60) == "clean"
