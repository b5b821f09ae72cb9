"""Disks: what a stock kernel's own driver reads and writes on modules, overlays and blank memory; and what lspci says of all devices."""
import hashlib
import os
import re

import pytest

import images
import virtio
import vms
from monitor import Monitor

ONLY_QEMU = pytest.mark.only("qemu-svm", "qemu-kvm", why="the models are the same, and Bochs is slow")
BLANK = hashlib.sha256(bytes(4 << 20)).hexdigest()
LSPCI = os.path.join(images.TOP, "build", "guest", "lspci.gz")
OTHERS = {"net": "lan0", "rng": "yes", "virtio_port": "log", "vsock": "5", "shmem": "ring:1M"}
MACHINE = {"counted": True, "memory": 640, "cores": 1}


def sha256(keel, device, timeout=120):
    return keel.shell("dd if=%s bs=64k 2>/dev/null | sha256sum" % device, timeout).split()[0]


def unknown_warnings(keel):
    return [line for line in keel.shell("dmesg -r | grep -E '^<[0-4]>.*(virtio|vd[a-z]|pci|0000:00)'; true").split("\n") if line]


def check_functions(keel):
    """lspci, which knows no name for virtio's window in configuration space, finds nothing odd, and disks with MSI-X at work."""
    functions = keel.shell("lspci -nvvv 2>/dev/null", 60).replace("VirtIO: <unknown>", "VirtIO: window").strip().split("\n\n")
    assert len(functions) == 1 + 4 + len(OTHERS)
    for text in functions:
        assert not re.search(r"!!!|[Uu]nknown|denied|chain|disabled|unassigned|ignored|virtual|broken|invalid|error|[ADP]bort\+|ERR\+", text), text
        assert "Region 0" in text or " 0600: " in text, text
        assert "MSI-X: Enable" in text or " 0600: " in text, text
    disks = [text for text in functions if "1af4:1042" in text]
    assert len(disks) == 4 and all("MSI-X: Enable+" in text and "Kernel driver in use: virtio-pci" in text for text in disks), disks


def reset(keel):
    keel.machine.send("reboot\r")
    keel.event("vm", state="restarting")


def stop_and_start(keel):
    """By the operator: the VM's memory is scrubbed, and it is made again."""
    Monitor(keel).enter()
    keel.machine.send("vm stop web\r")
    keel.event("vm", name="web", state="stopped")
    keel.machine.send("vm start web\r")
    keel.event("vm", name="web", state="running")
    keel.machine.send("console web\r")


def power_off(keel, monitor):
    """Switches the VM off, and where the machine then waits at its prompt, that, too."""
    if not monitor:
        return keel.power_off()
    keel.type("poweroff")
    keel.event("vm", 60, name="web", state="stopped", reason="poweroff")
    keel.machine.expect("keel> ")
    keel.machine.send("quit\r")
    return keel.finish()


@pytest.mark.parametrize("rings", [pytest.param("packed", marks=ONLY_QEMU), "split"])
def test_kinds(kind, machine, tmp_path, rings):
    """One disk of each kind: the host's checksum, writing where that is allowed, and what is left after a reset and after a
    new start: what was written to the module, nothing in the overlay and the blank disk."""
    size = (3 << 20 if kind.vendor == "svm" else 1 << 20) + 512        # ends within a cluster
    path, digest = virtio.image(tmp_path, "disk.img", size)
    rw, _ = virtio.image(tmp_path, "rw.img", size, 2)
    disks = ["rw.img", "disk.img,ro", "disk.img,cow", "ram:4M"]
    conf = virtio.section("web", disks, vcpus=1, virtio_rings=rings, cmdline="console=ttyS0", **OTHERS)
    options = "on_idle=monitor" if rings == "split" else ""
    keel = virtio.boot(machine, tmp_path, [conf], [(path, "disk.img"), (rw, "rw.img")], archives=[LSPCI], options=options, **MACHINE)
    assert keel.event("audit")["result"] == "ok"
    keel.linux_up()
    virtio.load(keel, "virtio_blk")
    sectors = keel.shell("cat /sys/block/vd[abcd]/size").split()
    assert sectors == [str(size // 512)] * 3 + [str(4 * 2048)]
    assert keel.shell("cat /sys/block/vd[abcd]/ro").split() == ["0", "1", "0", "0"]
    assert keel.shell("cat /sys/block/vdb/serial") == "disk.img"
    features = keel.shell("cat /sys/block/vda/device/features")
    assert features[34] == ("1" if rings == "packed" else "0") and features[32] == "1"
    for device in ("/dev/vdb", "/dev/vdc"):
        assert sha256(keel, device) == digest
    assert sha256(keel, "/dev/vdd") == BLANK
    # The same noise to all that can be written.
    for device in ("/dev/vda", "/dev/vdc", "/dev/vdd"):
        keel.shell("dd if=/dev/vdb of=%s bs=10240 conv=fsync 2>/dev/null" % device, 60)
        assert keel.shell("cmp -n %d /dev/vdb %s && echo same" % (size, device), 60) == "same"
    keel.shell("dd if=/dev/zero of=/dev/vdc bs=512 seek=5 count=1 conv=fsync 2>/dev/null; blkdiscard -o 524288 -l 65536 /dev/vda")
    assert keel.shell("dd if=/dev/zero of=/dev/vdb bs=512 count=1 2>&1 | grep -c 'not permitted'; true") == "1"
    assert sha256(keel, "/dev/vdb") == digest
    assert sha256(keel, "/dev/vdc") != digest
    assert unknown_warnings(keel) == []
    interrupts = keel.shell("cat /proc/interrupts")
    assert re.search(r"PCI-MSI .*virtio0-req\.0", interrupts)
    check_functions(keel)
    stopped = rings == "split"
    (stop_and_start if stopped else reset)(keel)
    keel.linux_up()
    virtio.load(keel, "virtio_blk")
    assert keel.shell("cmp -n 524288 /dev/vdb /dev/vda && echo same", 60) == "same"
    assert sha256(keel, "/dev/vdb") == digest
    if stopped:
        assert sha256(keel, "/dev/vdc") == digest
        assert sha256(keel, "/dev/vdd") == BLANK
    assert power_off(keel, stopped) == "clean"


@pytest.mark.parametrize("options, line", [
    ("pci=nomsi", r"\b17: .*IO-APIC +17-fasteoi .*virtio0"),
    pytest.param("noapic pci=nomsi", r"\b10: .*XT-PIC .*virtio0", marks=ONLY_QEMU),
    pytest.param("acpi=off pci=nomsi", r"\b(10|17): .*virtio0", marks=ONLY_QEMU),
], ids=["ioapic", "pic", "line-register"])
def test_interrupt_lines(machine, tmp_path, options, line):
    """The interrupt pin, by the IOAPIC and by the PIC as the _PRT says, and by the configuration space's line register."""
    path, digest = virtio.image(tmp_path, "disk.img", 256 * 1024)
    command = virtio.run(virtio.loading("virtio_blk"), "sha256sum /dev/vda", "cat /proc/interrupts")
    conf = virtio.section("vm", ["disk.img,ro"], cmdline="console=ttyS0 quiet %s %s" % (options, command))
    keel = virtio.boot(machine, tmp_path, [conf], [(path, "disk.img")], **MACHINE)
    keel.event("vm", state="running")
    keel.machine.expect(digest, 120)
    keel.machine.expect(line, 30)


@ONLY_QEMU
def test_cdroms(machine, tmp_path):
    """Two CDs in their drives, by the kernel's own SCSI drivers; nothing is written to them."""
    first, digest = virtio.image(tmp_path, "first.iso", 512 * 2048)
    second, other = virtio.image(tmp_path, "second.iso", 100 * 2048, 2)
    conf = virtio.section("vm") + "cdrom = first.iso\ncdrom = second.iso\n"
    keel = virtio.boot(machine, tmp_path, [conf], [(first, "first.iso"), (second, "second.iso")], **MACHINE)
    keel.linux_up()
    virtio.load(keel, *virtio.CDROM)
    assert keel.shell("cat /sys/block/sr[01]/size").split() == ["2048", "400"]
    assert keel.shell("cat /sys/block/sr0/device/model").strip() == "CD-ROM"
    assert sha256(keel, "/dev/sr0") == digest
    assert sha256(keel, "/dev/sr1") == other
    assert keel.shell("dd if=/dev/zero of=/dev/sr0 bs=2048 count=1 2>&1 | grep -c 'Read-only\\|not permitted'; true") == "1"
    assert keel.shell("dmesg -r | grep -E '^<[0-4]>.*(scsi|sr [0-9]|sr[01]|cdrom)'; true") == ""
    assert keel.power_off() == "clean"


@ONLY_QEMU
def test_shared_and_refused(machine, tmp_path):
    """One image under two VMs at once: what one writes, the other doesn't see. What two would write is refused, by name; and what an
    overlay has no room for, with an I/O error."""
    path, digest = virtio.image(tmp_path, "disk.img", 1024 * 1024)
    large, _ = virtio.image(tmp_path, "large.img", 2 << 20)
    spoil = virtio.run(virtio.loading("virtio_blk"), "dd if=/dev/zero of=/dev/vda bs=4096 conv=fsync 2>/dev/null", "sha256sum /dev/vda")
    fill = "dd if=/dev/zero of=/dev/vdb bs=4096 oflag=direct 2>&1 | grep -e error -e records"
    look = virtio.run(virtio.loading("virtio_blk"), fill, "dd if=/dev/vdb bs=4096 skip=256 2>/dev/null | sha256sum", "sleep 2", "sha256sum /dev/vda")
    kernel = "console=ttyS0 quiet "
    sections = [virtio.section("one", ["disk.img,cow"], cmdline=kernel + spoil),
                virtio.section("two", ["disk.img,cow", "large.img,cow=1M"], cmdline=kernel + look),
                virtio.section("three", ["rw.img"]), virtio.section("four", ["rw.img,ro", "ram:1G"])]
    keel = virtio.boot(machine, tmp_path, sections, [(path, "disk.img"), (path, "rw.img"), (large, "large.img")], counted=True, memory=768)
    assert keel.finish(300) == "failed"
    text = keel.machine.output()
    assert re.search(r"keel.conf:\d+: disk 'rw.img' is written, and used on line \d+, too", text)
    assert re.search(r"vm=four: it wants 1216 MiB of memory", text)
    zeros = "30e14955ebf1352266dc2ff8067e68104607e750abb9d3b36582b8af909fcb58"
    assert zeros in "\n".join(vms.output(keel, "one"))
    output = "\n".join(vms.output(keel, "two"))
    assert digest in output and "Input/output error" in output and "256+0 records out" in output, output
    with open(large, "rb") as file:
        assert hashlib.sha256(file.read()[1 << 20:]).hexdigest() in output     # the rest is as it was


def test_clearing(kind, machine, tmp_path):
    """A large blank disk is cleared in steps: the heart of a VM on the same core beats on."""
    sections = [vms.vm("beat", cmdline="beat=5 for=1000000"), vms.vm("big", cmdline="exits=cpuid", autostart="no") + "disk = ram:256M\n"]
    keel = vms.boot(machine, tmp_path, sections, options="on_idle=monitor", counted=True, memory=512)
    monitor = Monitor(keel)
    monitor.vm("beat", "running")
    monitor.enter()
    for _ in range(2):      # what the firmware left there, and what was scrubbed
        monitor.machine.send("vm start big\r")
        monitor.vm("big", "stopped", 60, reason="poweroff")
    late = vms.beats(keel, "beat")
    assert len(late) > 10 and max(late) < {"svm": 10000, "vmx": 50000}.get(kind.vendor, 50000), late
