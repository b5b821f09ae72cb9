"""OVMF as a guest: Debian's package, unmodified. Its variables are in RAM, as its flash can't be written."""
import images
import virtio
from test_guest_firmware import boot

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
    """GRUB's EFI image from a CD, and from that Linux, which switches off by the ACPI tables that OVMF was given."""
    disc = images.linux_iso("console=ttyS0 quiet " + virtio.run("true"), efi=True)
    keel = boot(machine, tmp_path, CONFIGURATION % ("512M", "cdrom = disc.iso"), [(OVMF, "OVMF.fd"), (disc, "disc.iso")])
    keel.machine.expect("GRUB", 120)
    keel.linux_up()
    assert keel.finish() == "clean"
