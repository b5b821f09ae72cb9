"""A guest that misuses all its devices (guests/payload/attack.c), beside one that must not notice."""
import virtio
import vms
from monitor import Monitor

# Of the neighbour's heartbeats: both are on one core, and Bochs' is slow.
LATE_MS = {"svm": 50, "vmx": 200}


def test_attack(kind, machine, tmp_path):
    """Its devices come back after each attack, the audit is clean, and the other VM's heart beats on."""
    disk, _ = virtio.image(tmp_path, "disk.img", 1 << 20)
    keys = {"cmdline": "attack smp=2", "vcpus": 2, "rng": "yes", "virtio_console": "yes", "virtio_port": "port", "vsock": 7, "balloon": "yes", "shmem": "mem:64K"}
    hostile = vms.vm("hostile", **keys) + "disk = disk.img,cow\ndisk = ram:1M\ncdrom = disk.img\nnet = lan0\n"
    # The neighbour has a port of that switch, a place among the sockets and a part of that memory.
    beat = vms.vm("beat", cmdline="beat=5 for=1000000", vsock=8, shmem="mem:64K") + "net = lan0\n"
    modules = vms.modules(tmp_path, [hostile, beat]) + [(disk, "disk.img")]
    keel = machine.keel(modules, "on_idle=monitor", counted=True, memory=256)
    monitor = Monitor(keel)
    monitor.vm("beat", "running")
    monitor.enter()
    monitor.vm("hostile", "stopped", 200, reason="poweroff")
    audit = monitor.table("audit")[-1]
    assert audit == {"result": "ok", "faults": "0", "vms": "1"}
    assert vms.failures(keel, "hostile") == []
    output = "\n".join(vms.output(keel, "hostile"))
    assert "words through a port" in vms.output(keel, "hostile.port")
    assert "attack devices=8" in output and "ok attack.disk-status" in output and "ok attack.random-bytes" in output
    beats = vms.beats(keel, "beat")
    assert len(beats) > 20 and max(beats) <= 1000 * LATE_MS[kind.vendor], beats
    assert not keel.events("crash")
