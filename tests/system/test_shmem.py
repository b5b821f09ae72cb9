"""Memory that VMs share because keel.conf says so (ivshmem), used by our own guests in all ways."""
import re

import pytest

import vms
from monitor import Monitor

MEMBER = {"cmdline": "share smp=2", "vcpus": 2, "shmem": "ring:1M"}


def boot(machine, directory, *names, **options):
    keel = vms.boot(machine, directory, [vms.vm(name, autostart="no", **MEMBER) for name in names] +
                    [vms.vm("beat", cmdline="beat=100 for=1000000")], options="on_idle=monitor", counted=options.get("cores") == 1, memory=256, **options)
    monitor = Monitor(keel)
    monitor.vm("beat", "running")
    monitor.enter()
    return monitor


@pytest.mark.parametrize("cores", [1, pytest.param(2, marks=pytest.mark.only("qemu-svm", "qemu-kvm", why="Bochs is slow with two"))])
def test_two_members(machine, tmp_path, cores):
    """Each finds it blank, also the second time, after the last one of the first time has gone; and the audit knows of it."""
    monitor = boot(machine, tmp_path, "one", "two", cores=cores)
    for _ in range(2):
        monitor.machine.send("vm start one\r")
        monitor.machine.expect("ok share.no-such-doorbell", 60)
        assert monitor.table("audit")[-1]["result"] == "ok"
        monitor.machine.send("vm start two\r")
        monitor.machine.expect("share exchanged", 60)
        assert monitor.table("audit")[-1]["result"] == "ok"
        for _ in "one", "two":
            monitor.event("vm", 60, name=re.compile("one|two"), state="stopped", reason="poweroff")
    assert monitor.table("audit")[-1]["result"] == "ok"
    for name in "one", "two":
        assert vms.failures(monitor.keel, name) == []
        assert vms.output(monitor.keel, name).count("ok share.blank") == 2
    assert not monitor.keel.events("crash")
