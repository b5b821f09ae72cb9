"""Older versions of the Linux boot protocol: a kernel that doesn't promise a 64-bit entry starts at the 32-bit one."""
import struct

import images
import pytest

VERSION = 0x206         # offset of the protocol's version in a bzImage


@pytest.mark.parametrize("version", [0x206, 0x20B])
def test_entry_32(machine, tmp_path, version):
    with open(images.linux_modules()[0][0], "rb") as file:
        kernel = bytearray(file.read())
    assert struct.unpack_from("<H", kernel, VERSION)[0] > 0x20B
    struct.pack_into("<H", kernel, VERSION, version)
    path = tmp_path / "vmlinuz-old"
    path.write_bytes(kernel)
    modules = [(str(path), "vmlinuz console=ttyS0 quiet keel.run=true")] + images.linux_modules()[1:]
    keel = machine.keel(modules)
    keel.linux_up()
    assert keel.finish() == "clean"
