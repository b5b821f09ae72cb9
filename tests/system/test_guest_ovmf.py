"""OVMF as a guest: Debian's package, unmodified. Its variables are in RAM, as its flash can't be written."""
import re

import images
import virtio
import vms
from test_guest_firmware import boot, on_screen

OVMF = "/usr/share/ovmf/OVMF.fd"
CONFIGURATION = "[vm uefi]\nfirmware = OVMF.fd\nmemory = %s\n%s\n"


def test_shell(machine, tmp_path):
    """Without anything to boot from it comes to its shell, which takes commands from the serial port, and switches off by the PIIX4's PM ports."""
    keel = boot(machine, tmp_path, CONFIGURATION % ("128M", ""), [(OVMF, "OVMF.fd")])
    keel.machine.expect("UEFI Interactive Shell", 120)
    keel.machine.expect("Shell>", 60)
    keel.machine.send("ver -s\r")
    keel.machine.expect(r"2\.2", 30)
    keel.machine.send("reset -s\r")
    keel.event("vm", name="uefi", state="stopped", reason="poweroff")
    assert keel.finish() == "clean"


def test_cdrom(machine, tmp_path):
    """
    GRUB's EFI image from a CD, and from that Linux, which switches off by the ACPI tables that OVMF was given. It leaves the drive where
    OVMF has put it, above 4 GiB, and reads the disc there.
    """
    commands = ("cat /sys/bus/pci/devices/*/resource", "dmesg -r | grep -E '^<[0-4]>.*pci'", virtio.loading(*virtio.CDROM),
                "dd if=/dev/sr0 bs=2048 skip=16 count=1 2>/dev/null | dd bs=1 skip=1 count=5 2>/dev/null", "echo")
    disc = images.linux_iso("console=ttyS0 quiet " + virtio.run(*commands), efi=True, initrd=virtio.initrd(tmp_path))
    keel = boot(machine, tmp_path, CONFIGURATION % ("512M", "cdrom = disc.iso"), [(OVMF, "OVMF.fd"), (disc, "disc.iso")])
    keel.machine.expect(on_screen("GRUB"), 120)
    keel.linux_up()
    assert keel.finish() == "clean"
    output = "\n".join(vms.output(keel, "uefi"))
    bases = [int(base, 16) for base in re.findall(r"^(0x[0-9a-f]{16}) 0x[0-9a-f]{16} 0x[0-9a-f]{16}$", output, re.M)]
    assert max(bases) >= 4 << 30
    assert not re.search(r"^<[0-4]>.*pci", output, re.M)
    assert re.search(r"^CD001$", output, re.M)
