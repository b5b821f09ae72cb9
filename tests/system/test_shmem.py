"""Memory that VMs share because keel.conf says so (ivshmem), used by our own guests in all ways."""
import re

import pytest
import virtio

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


@pytest.mark.only("qemu-svm", "qemu-kvm", why="Bochs keeps memory beyond 2 GiB in a file")
def test_above_memory(machine, tmp_path):
    """Two that have no room together below 4 GiB: a stock kernel finds one in the window above its RAM, which goes beyond 4 GiB."""
    commands = ["dmesg -r | grep -E 'root bus resource|^<[0-4]>.*pci'",
                "for d in /sys/bus/pci/devices/*; do [ $(cat $d/device) = 0x1110 ] && sed -n 3p $d/resource; done",
                "for a in $(sed -n 3p $(dirname $(grep -l 0x1110 /sys/bus/pci/devices/*/device | tail -n 1))/resource | cut -d ' ' -f 1); do "
                "devmem $(($a + 0xffffff8)) 32 0x12345678; devmem $(($a + 0xffffff8)); done"]
    section = vms.linux("big", memory="3300M", cmdline="console=ttyS0 quiet " + virtio.run(*commands))
    keel = vms.boot(machine, tmp_path, [section + "shmem = one:256M\nshmem = two:256M\n"], memory=4608)
    keel.machine.expect("reboot: Power down", 120)
    output = "\n".join(vms.output(keel, "big"))
    low, high = [int(base, 16) for base in re.findall(r"^(0x[0-9a-f]{16}) 0x[0-9a-f]{16} 0x[0-9a-f]{16}$", output, re.M)]
    assert low == 0xd0000000 and high >= (4 << 30) + (300 << 20)
    window, = re.findall(r"root bus resource \[mem 0x([0-9a-f]{9,})-0x([0-9a-f]+) window\]", output)
    assert int(window[0], 16) <= high < int(window[1], 16)
    assert "0x12345678" in output
    assert not re.search(r"^<[0-4]>", output, re.M)
