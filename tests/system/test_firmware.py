"""The ways to boot: BIOS and UEFI, CD and USB stick, two chipsets, memory above 4 GiB and big modules."""
import hashlib
import os

import images
import pytest

pytestmark = pytest.mark.cores_at_once

QEMU = pytest.mark.only("qemu-svm", "qemu-kvm", why="Bochs has no UEFI firmware, no other board and no USB boot")


def to_shell(keel):
    keel.linux_up()
    assert keel.shell("cat /proc/cmdline").strip().endswith("quiet")
    assert keel.power_off() == "clean"


@QEMU
@pytest.mark.parametrize("medium", ["cd", "usb"])
@pytest.mark.parametrize("firmware", ["bios", "ovmf"])
def test_boot_from(machine, firmware, medium):
    keel = machine.keel(cmdline="console=ttyS0 quiet", firmware=firmware, medium=medium)
    assert keel.event("boot", 120)["firmware"] == {"bios": "bios", "ovmf": "uefi"}[firmware]
    to_shell(keel)


@QEMU
def test_q35(machine):
    to_shell(machine.keel(cmdline="console=ttyS0 quiet", board="q35", cores=2))


@QEMU
def test_uefi_cores(machine):
    keel = machine.keel(cmdline="console=ttyS0 quiet", firmware="ovmf", board="q35", cores=4)
    assert keel.event("boot", 120)["cores"] == "4"
    to_shell(keel)


@QEMU
def test_memory_above_4g(machine):
    keel = machine.keel(cmdline="console=ttyS0 quiet", memory=5 * 1024)
    keel.linux_up()
    assert int(keel.shell("grep MemTotal /proc/meminfo").split()[1]) > 4400 * 1024
    assert keel.power_off() == "clean"


def test_big_module(machine, tmp_path):
    """An initrd of more than 100 MiB reaches the guest unharmed, wherever GRUB put it."""
    filler = tmp_path / "filler"
    block = hashlib.sha512(b"keel").digest() * 16384        # 1 MiB
    filler.write_bytes(block * 104)
    initrd = tmp_path / "initrd"
    # The kernel takes several archives one after the other: ours, and one with a single big file. `cpio` in text: newc.
    name = b"filler\0"
    header = b"070701" + b"".join(b"%08X" % field for field in
                                  [1, 0o100644, 0, 0, 1, 0, filler.stat().st_size, 0, 0, 0, 0, len(name), 0])
    archive = header + name + b"\0" * (-(len(header) + len(name)) % 4) + filler.read_bytes()
    with open(images.INITRD, "rb") as file:
        own = file.read()
    with open(images.program(os.path.join(os.path.dirname(__file__), "guest_blocks.c"), str(tmp_path)), "rb") as file:
        own += b"\0" * (-len(own) % 4) + file.read()
    initrd.write_bytes(own + b"\0" * (-len(own) % 4) + archive + b"\0" * (-len(archive) % 4))
    kernel = images.linux_modules("console=ttyS0 quiet")[0]
    keel = machine.keel([kernel, (str(initrd), "initrd")], memory=1024)
    keel.linux_up(300)
    # A checksum of the whole takes Bochs half a minute.
    assert keel.shell("head -c %d /filler | md5sum" % len(block), 60).split()[0] == hashlib.md5(block).hexdigest()
    assert keel.shell("/program /filler %d" % len(block), 120) == "104 blocks, all as the first"
    assert keel.power_off() == "clean"


@pytest.mark.only("qemu-svm", "qemu-kvm", why="Bochs has no way to read the screen from outside")
def test_screen(machine):
    """Keel's lines are on the VGA text screen too."""
    keel = machine.keel()
    keel.event("vm", state="running")
    assert any("event=boot" in line for line in keel.machine.screen())
