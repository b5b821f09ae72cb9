"""Sockets between VMs: our own guests' driver on both back ends, and stock kernels with a program of ours."""
import os

import pytest

import images
import virtio
import vms

MODULES = ["vsock", "vmw_vsock_virtio_transport_common", "vmw_vsock_virtio_transport"]


def test_payloads(machine, tmp_path):
    """A stream under the receiver's credit, in packets larger than its buffers; resets from those who aren't there."""
    sections = [vms.vm("listens", cmdline="sockets=4", vsock=3), vms.vm("talks", cmdline="sockets=3", vsock=4, virtio_rings="split")]
    keel = vms.boot(machine, tmp_path, sections, counted=True, memory=256)
    assert keel.finish(120) == "clean"
    for name in "listens", "talks":
        assert vms.failures(keel, name) == []


@pytest.mark.only("qemu-svm", "qemu-kvm", why="the models are the same, and Bochs is slow")
def test_linux(machine, tmp_path):
    """AF_VSOCK of a stock kernel: 2 MiB there and back, and refusals by a VM without a listener and where there is no VM."""
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "guest_vsock.c")
    load = virtio.loading(*MODULES)
    console = "console=ttyS0 quiet "
    sections = [virtio.section("server", vsock=10, cmdline=console + virtio.run(load, "/program serve")),
                virtio.section("client", vsock=11, cmdline=console + virtio.run(load, "/program talk 10"))]
    extra = [images.program(source, str(tmp_path))]
    keel = virtio.boot(machine, tmp_path, sections, archives=extra, counted=True, memory=640)
    assert keel.finish(300) == "clean"
    output = "\n".join(vms.output(keel, "client"))
    for line in ("echoed 2097152 bytes, 0 wrong", "no listener: Connection reset by peer", "no VM: Connection reset by peer"):
        assert line in output
