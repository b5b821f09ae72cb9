"""What GRUB, the firmware or a person can get wrong: one clear line each, a failing status, never a crash."""
import struct

import images
import pytest
import tables


def refused(keel, pattern):
    """Keel says so in a line, ends with a failing status, and neither it nor a VM crashes."""
    keel.line(pattern, 120)
    assert keel.finish(60) == "failed"
    assert not keel.events("panic") and not keel.events("crash")


def kernel_bytes():
    with open(images.KERNEL, "rb") as file:
        return bytearray(file.read())


def kernel_module(path, data):
    path.write_bytes(bytes(data))
    return [(str(path), "vmlinuz console=ttyS0")]


def test_no_module(machine):
    refused(machine.keel([]), "no module")


def test_no_kernel(machine, tmp_path):
    refused(machine.keel(kernel_module(tmp_path / "text", b"This is a text.\n" * 4096)), "no bzImage")


def test_empty_kernel(machine, tmp_path):
    refused(machine.keel(kernel_module(tmp_path / "empty", b"x")), "no bzImage|cut off")


def test_cut_in_header(machine, tmp_path):
    refused(machine.keel(kernel_module(tmp_path / "cut", kernel_bytes()[:0x230])), "cut off in its header")


def test_cut_in_body(machine, tmp_path):
    data = kernel_bytes()
    refused(machine.keel(kernel_module(tmp_path / "cut", data[:len(data) // 2])), "cut off in its body")


def test_old_protocol(machine, tmp_path):
    data = kernel_bytes()
    struct.pack_into("<H", data, 0x206, 0x0205)
    refused(machine.keel(kernel_module(tmp_path / "old", data)), r"2\.05")


def test_too_big(machine, tmp_path):
    """Kernel and initrd need more than the VM has."""
    initrd = tmp_path / "initrd"
    initrd.write_bytes(b"\0" * (80 << 20))
    refused(machine.keel([(images.KERNEL, "vmlinuz"), (str(initrd), "initrd")], memory=128), "MiB")


def test_little_memory(machine):
    """Less than the least: GRUB itself and the modules just fit."""
    refused(machine.keel(options="", memory=32), "MiB|memory")


def test_bad_options(machine):
    """Unknown options and bad values are reported, each in its line; the boot goes on with the defaults."""
    keel = machine.keel(images.payload_modules("exits=cpuid"), "nonsense log=loud pool=much serial=com9 on_idle=dance")
    text = "nonsense|log=loud|pool=much|serial=com9|on_idle=dance"
    for _ in range(5):
        keel.line(text)
    assert keel.finish() == "clean"


@pytest.mark.only("qemu-svm", "qemu-kvm", why="the holes are GRUB's doing and the same on both; one machine is enough")
def test_ragged_memory(machine, tmp_path):
    """Reserved ranges that begin and end inside of pages."""
    holes = [(0x1234567, 0x2345), (0x2000001, 1), (0x3000fff, 0x1002), (0x8123456, 0x765432)]
    keel = machine.keel(cmdline="console=ttyS0 quiet", holes=holes)
    assert keel.event("audit", 60)["result"] == "ok"
    keel.linux_up()
    assert keel.power_off() == "clean"


GOOD = [tables.lapic(0), tables.lapic(1), tables.ioapic()]
BAD_TABLES = {
    "checksum": tables.madt(GOOD, checksum=1),
    "longer-than-itself": tables.madt(GOOD, length=0x7FFFFFFF),
    "shorter-than-a-header": tables.madt(GOOD, length=12),
    "entry-of-length-0": tables.madt([tables.lapic(0), b"\0\0" + b"\0" * 6, tables.lapic(1)]),
    "entry-beyond-the-end": tables.madt([tables.lapic(0), b"\0\xff\1\1\1\0\0\0"]),
    "half-an-entry": tables.madt([tables.lapic(0), b"\0"]),
}


@pytest.mark.parametrize("what", sorted(BAD_TABLES))
def test_bad_madt(machine, tmp_path, what):
    """The boot goes on with what is sound: at least the boot core."""
    path = tmp_path / "madt.aml"
    path.write_bytes(BAD_TABLES[what])
    keel = machine.keel(images.payload_modules("exits=cpuid"), cores=2, acpi=[str(path)])
    keel.line("acpi: ", 120)
    assert int(keel.event("boot", 120)["cores"]) in (1, 2)
    assert keel.finish() == "clean"


@pytest.mark.only("qemu-svm", "qemu-kvm", why="Bochs' BIOS always has its tables")
def test_no_acpi(machine):
    keel = machine.keel(images.payload_modules("exits=cpuid"), arguments=["-no-acpi"], cores=2)
    keel.line("acpi: there are no tables", 120)
    assert keel.event("boot")["cores"] == "1"
    assert keel.finish() == "clean"
