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
    return [(str(path), "vmlinuz console=ttyS0 quiet keel.run=true")] + images.linux_modules()[1:]


@pytest.mark.parametrize("version, cpu, options", [
    (0x206, None, ""),
    (0x20B, None, "disable=ug"),
    pytest.param(0x20B, "corei5_lynnfield_750", "",
                 marks=pytest.mark.only("bochs-vmx", why="a CPU without unrestricted guest; SVM always has the like")),
], ids=["206", "20b-ug-off", "20b-no-ug"])
def test_entry_32(machine, tmp_path, version, cpu, options):
    """The entry is in protected mode without paging: without unrestricted guest, Keel has to stand in for that."""
    keel = machine.keel(old_kernel(tmp_path / "vmlinuz-old", version), options, cpu=cpu)
    assert ("ug" in keel.event("cap", 120)["list"].split(",")) == (machine.kind.vendor == "vmx" and version == 0x206)
    keel.linux_up()
    assert keel.finish() == "clean"
