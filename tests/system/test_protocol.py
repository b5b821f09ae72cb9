"""Older versions of the Linux boot protocol: a kernel that doesn't promise a 64-bit entry starts at the 32-bit one."""
import struct

import images
import pytest

VERSION = 0x206         # offset of the protocol's version in a bzImage


def old_kernel(path, version):
    """The stock kernel, its header saying that it knows no more than this version of the protocol."""
    with open(images.KERNEL, "rb") as file:
        kernel = bytearray(file.read())
    assert struct.unpack_from("<H", kernel, VERSION)[0] > 0x20B
    struct.pack_into("<H", kernel, VERSION, version)
    path.write_bytes(kernel)
    return [(str(path), "vmlinuz console=ttyS0 keel.run=true")] + images.linux_modules()[1:]


def boots_whole(kind, cpu):
    """Bochs is slow: there, the one on the CPU without unrestricted guest does."""
    return not kind.name.startswith("bochs") or bool(cpu)


@pytest.mark.parametrize("version, cpu, options", [
    (0x206, None, ""),
    (0x20B, None, "disable=ug"),
    pytest.param(0x20B, "corei5_lynnfield_750", "",
                 marks=pytest.mark.only("bochs-vmx", why="a CPU without unrestricted guest; SVM always has the like")),
], ids=["206", "20b-ug-off", "20b-no-ug"])
def test_entry_32(kind, machine, tmp_path, version, cpu, options):
    """
    The entry is in protected mode without paging: without unrestricted guest, Keel has to stand in for that. What follows when the
    kernel has come to long mode, has unpacked itself and found its command line is the same as after a 64-bit entry.
    """
    keel = machine.keel(old_kernel(tmp_path / "vmlinuz-old", version), options, cpu=cpu)
    assert ("ug" in keel.event("cap", 120)["list"].split(",")) == (machine.kind.vendor == "vmx" and version == 0x206)
    keel.machine.expect("Linux version", 120)
    if not boots_whole(kind, cpu):
        return
    keel.linux_up()
    assert keel.finish() == "clean"
