"""Guests that know no serial port: their screen is shown on the console, and what is typed there are keys."""
import os
import subprocess

import images
from test_guest_firmware import CONFIGURATION, SEABIOS, boot

GRUB = "/usr/lib/grub/i386-pc"
MENU = """\
terminal_output vga_text
terminal_input at_keyboard
echo a word, please
read word
echo you typed $word
"""


def test_typing(machine, tmp_path):
    """A kernel that finds both as a BIOS leaves them, and says nothing elsewhere: nobody has to ask for the keyboard."""
    kernel = os.path.join(images.PAYLOADS, "formats", "mb1.elf")
    conf = "[vm pc]\nkernel = mb1.elf\nmemory = 16M\ncmdline = typing\ndebug_exit = yes\n"
    keel = boot(machine, tmp_path, conf, [(kernel, "mb1.elf")])
    keel.machine.expect("type a line")
    keel.machine.send("Hi\r")
    keel.machine.expect("codes 2a 23 a3 aa 17 97 1c 9c")
    assert keel.finish() == "clean"


def grub_disk(directory):
    """A disk with GRUB in its first sectors: boot.img loads what begins in sector 1."""
    (directory / "grub.cfg").write_text(MENU)
    subprocess.run(["grub-mkimage", "-O", "i386-pc", "-d", GRUB, "-p", "/", "-c", str(directory / "grub.cfg"),
                    "-o", str(directory / "core.img"), "biosdisk", "echo", "read", "terminal", "vga_text", "at_keyboard"], check=True)
    with open(os.path.join(GRUB, "boot.img"), "rb") as first:
        image = first.read() + (directory / "core.img").read_bytes()
    (directory / "disk.img").write_bytes(image + bytes(-len(image) % (1 << 20)))
    return str(directory / "disk.img")


def test_grub(machine, tmp_path):
    """GRUB's own drivers for both, behind a BIOS that speaks to the serial port."""
    conf = CONFIGURATION % 1 + "disk = disk.img\nkeyboard = yes\n"
    keel = boot(machine, tmp_path, conf, [(SEABIOS, "bios-256k.bin"), (grub_disk(tmp_path), "disk.img")])
    keel.machine.expect("a word, please", 60)
    keel.machine.send("Keel-4\r")
    keel.machine.expect("you typed Keel-4", 60)
