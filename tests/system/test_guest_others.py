"""Guests that are no Linux, from Debian's packages, unmodified (tests/setup/guest-others)."""
import os

import images
from test_guest_firmware import SEABIOS, boot

DIRECTORY = os.path.dirname(images.KERNEL)


def test_memtest(machine, tmp_path):
    """memtest86+ is a bzImage, too. It finds its memory and shows itself on its serial console."""
    keel = boot(machine, tmp_path, "[vm memtest]\nkernel = memtest.bin\nmemory = 32M\ncmdline = console=ttyS0,115200\n",
                [(os.path.join(DIRECTORY, "memtest.bin"), "memtest.bin")])
    keel.machine.expect(r"Memtest86\+ v6", 60)
    keel.machine.expect(r"Memory  : +32MB", 60)
    keel.machine.expect("to start testing", 60)


def test_ipxe(machine, tmp_path):
    """iPXE comes from a CD, by isolinux, and drives the network device with a driver of its own."""
    keel = boot(machine, tmp_path, "[vm ipxe]\nfirmware = bios-256k.bin\nmemory = 64M\ncdrom = ipxe.iso\nnet = lan0\n",
                [(SEABIOS, "bios-256k.bin"), (os.path.join(DIRECTORY, "ipxe.iso"), "ipxe.iso")])
    keel.machine.expect("iPXE initialising devices", 60)
    keel.machine.expect(r"net0: 52:54:00:\S+ using virtio-net on \S+ \(open\)", 120)
    keel.machine.expect("Link:up", 30)
