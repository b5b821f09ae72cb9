"""SeaBIOS as a guest: Debian's package, unmodified."""
import os
import re

import pytest

import images
import virtio

SEABIOS = "/usr/share/seabios/bios-256k.bin"
CONFIGURATION = "[vm bios]\nfirmware = bios-256k.bin\nmemory = 64M\nvcpus = %d\n"


def on_screen(text):
    """What is written on the screen: it is shown as far as it is there at that moment, and goes on where the cursor then is."""
    return r"(?:\x1b\[[0-9;]*H)*".join(map(re.escape, text))


def boot(machine, directory, text, files=((SEABIOS, "bios-256k.bin"),), **options):
    path = directory / "keel.conf"
    path.write_text(text)
    return machine.keel([(str(path), "keel.conf")] + list(files), **options)


@pytest.mark.parametrize("vcpus", [1, 2])
def test_seabios_prompt(machine, tmp_path, vcpus):
    """It finds its machine, starts the other vCPUs, looks for something to boot, and says that there is nothing."""
    keel = boot(machine, tmp_path, CONFIGURATION % vcpus)
    keel.machine.expect(r"SeaBIOS \(version [^)]*\)", 60)
    keel.machine.expect("Booting from Hard Disk", 60)
    keel.machine.expect("No bootable device", 60)


def test_seabios_disk(machine, tmp_path):
    """GRUB from the boot sectors of a virtio disk, and from GRUB Linux, which switches off by the ACPI tables that SeaBIOS was given."""
    disk = images.linux_iso("console=ttyS0 quiet " + virtio.run("true"))     # a hybrid image: a disk, too
    keel = boot(machine, tmp_path, CONFIGURATION.replace("64M", "192M") % 1 + "disk = disk.img,ro\n",
                [(SEABIOS, "bios-256k.bin"), (disk, "disk.img")])
    keel.machine.expect("Booting from Hard Disk", 60)
    keel.machine.expect(on_screen("GRUB"), 60)
    keel.linux_up()
    assert keel.finish() == "clean"


def test_seabios_cdrom(machine, tmp_path):
    """GRUB as a CD's El Torito image, and from it a Multiboot kernel."""
    kernel = os.path.join(images.PAYLOADS, "formats", "mb2.elf")
    disc = images.keel_iso([(SEABIOS, "a-module")], "some words", elf=kernel)
    keel = boot(machine, tmp_path, CONFIGURATION % 1 + "cdrom = disc.iso\n", [(SEABIOS, "bios-256k.bin"), (disc, "disc.iso")])
    keel.machine.expect("Booting from DVD/CD", 60)
    keel.machine.expect(on_screen("GRUB"), 60)
    keel.machine.expect('cmdline="some words"', 60)
    keel.machine.expect('module bytes=%d .* line="a-module"' % os.path.getsize(SEABIOS), 60)


def test_no_image(machine, tmp_path):
    """What is too small to be firmware costs its VM alone."""
    (tmp_path / "small.bin").write_bytes(b"\xf4" * 1000)
    keel = boot(machine, tmp_path, CONFIGURATION.replace("bios-256k", "small") % 1,
                [(str(tmp_path / "small.bin"), "small.bin")])
    keel.line("vm=bios: a firmware image has 64 KiB to 16384 KiB, and this one has 1000 bytes")
    assert keel.finish() == "failed"


@pytest.mark.only("bochs-vmx", why="AMD's CPUs can always run guests in real mode")
def test_real_mode_missing(machine, tmp_path):
    """Firmware begins in real mode: where that can't be, the VM is refused and says why."""
    keel = boot(machine, tmp_path, CONFIGURATION % 1, options="disable=ug")
    keel.line("vm=bios: its firmware starts in real mode, and this CPU has no unrestricted guest")
    assert keel.finish() == "failed"
