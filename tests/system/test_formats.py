"""Kernels in every format that Keel knows, each telling what its boot protocol gave it (guests/payload/formats)."""
import os
import re

import images
import pytest
from keel import vm_output

NAMES = ["mb1.elf", "mb1-64.elf", "mb1-high.elf", "mb1-kludge.bin", "mb2.elf", "mb2-address.bin", "pvh.elf", "pvh-64.elf"]
MULTIBOOT = [name for name in NAMES if name.startswith("mb")]
FIRST = bytes(range(256)) * 20 + b"x"
SECOND = b"some text"
SECTION = """\
[vm %s]
kernel = %s
memory = 16M
cmdline = one  two=3
initrd = first.bin
initrd = second.txt
debug_exit = yes
%s
"""


def image(name):
    return os.path.join(images.PAYLOADS, "formats", name)


def modules(directory, sections, names):
    files = {"keel.conf": "\n".join(sections).encode(), "first.bin": FIRST, "second.txt": SECOND}
    for name, content in files.items():
        (directory / name).write_bytes(content)
    return [(str(directory / name), name) for name in files] + [(image(name), name) for name in names]


@pytest.fixture(scope="module")
def guests(module_machine, tmp_path_factory):
    """All of them on one machine; one has several vCPUs."""
    sections = [SECTION % (name, name, "vcpus = 3" if name == "mb2.elf" else "") for name in NAMES]
    keel = module_machine.keel(modules(tmp_path_factory.mktemp("formats"), sections, NAMES))
    assert keel.finish(60) == "clean"
    return keel


def lines(keel, name):
    """What a VM said; a line that was shown unfinished comes again, and counts in its last form."""
    said = vm_output(keel.machine.output(), name)
    return [line for line, after in zip(said, said[1:] + [""]) if not (len(after) > len(line) and after.startswith(line))]


@pytest.mark.parametrize("name", NAMES)
def test_format(guests, name):
    """It found nothing wrong, and came to its end; modules and command line are what keel.conf says."""
    said = lines(guests, name)
    assert [line for line in said if line.startswith("not ok")] == []
    # What is on the screen is told when that has been quiet for a while, or at the end.
    assert sorted(said[-2:]) == ["formats: 0 failed", "this is on the screen"]
    sums = [(len(data), sum(data)) for data in (FIRST, SECOND)]
    assert [line for line in said if line.startswith("module ")] == [
        'module bytes=%d sum=%d aligned=1 line="%s"' % (sums[0] + ("first.bin",)),
        'module bytes=%d sum=%d aligned=1 line="%s"' % (sums[1] + ("second.txt",))]
    front = "%s " % name if name in MULTIBOOT else ""
    assert 'cmdline="%sone  two=3"' % front in said
    assert "cpus=%d first=%s" % (3 if name == "mb2.elf" else 1, (front or "one")[0]) in said
    event = guests.events("vm", name=name, state="stopped")
    assert [(e["reason"], e["status"]) for e in event] == [("exit", "0")]


@pytest.mark.parametrize("name", NAMES)
def test_map(guests, name):
    ranges = [line for line in lines(guests, name) if line.startswith("range ")]
    assert ranges == ["range base=0 len=0x9fc00 type=1", "range base=0x9fc00 len=0x400 type=2",
                      "range base=0xe0000 len=0x20000 type=2", "range base=0x100000 len=0xf00000 type=1",
                      "range base=0xe0000000 len=0x100000 type=2"]       # PCI's configuration space


@pytest.mark.parametrize("name", MULTIBOOT)
def test_framebuffer(guests, name):
    """The kernels ask for graphics; what they get is the text screen, and they are told so."""
    assert "framebuffer addr=0xb8000 type=2" in lines(guests, name)


def test_without_configuration(machine):
    """The first module is the kernel, all further ones its modules, their lines as they are in GRUB's menu."""
    keel = machine.keel([(image("mb1.elf"), "some/name a  b"), (images.INITRD, "initrd.gz with words"), (image("mb2.elf"), "other")])
    keel.machine.expect(r"formats: \d+ failed", 60)
    said = lines(keel, "vm0")
    assert 'cmdline="some/name a b"' in said    # GRUB's shell joins words by one blank
    assert re.search(r'^module bytes=%d .*line="initrd.gz with words"$' % os.path.getsize(images.INITRD), "\n".join(said), re.M)
    assert [line for line in said if line.endswith('line="other"')]
    # Without the test device, which only keel.conf can ask for.
    assert [line for line in said if line.startswith("not ok")] == ["not ok test-bytes", "not ok test-mmio", "not ok test-line-up"]


def test_refused(machine, tmp_path):
    """Files that nobody can load cost their own VM alone, and one clear line."""
    damaged = bytearray(open(image("mb1.elf"), "rb").read())
    damaged[0x2a] = 5           # size of a program header
    (tmp_path / "damaged").write_bytes(damaged)
    (tmp_path / "nothing").write_bytes(b"no kernel at all")
    sections = [SECTION % ("good", "mb1.elf", ""), SECTION % ("damaged", "damaged", ""), SECTION % ("nothing", "nothing", "")]
    extra = [(str(tmp_path / name), name) for name in ("damaged", "nothing")]
    keel = machine.keel(modules(tmp_path, sections, ["mb1.elf"]) + extra)
    keel.line("vm=damaged: the kernel's ELF header is damaged: 2 program headers of 5 bytes")
    keel.line("vm=nothing: the kernel is no bzImage, no Multiboot kernel and no ELF file")
    keel.event("vm", name="good", state="stopped", status=0)
    assert keel.finish() == "failed"


@pytest.mark.only("qemu-svm", "qemu-kvm", why="it is what most tests boot on Bochs")
def test_vmlinux(machine):
    """Debian's kernel as the ELF file that it is inside, by its PVH entry."""
    keel = machine.keel([(images.vmlinux(), "vmlinux console=ttyS0"), (images.INITRD, "initrd.gz")])
    keel.linux_up()
    assert keel.power_off() == "clean"
