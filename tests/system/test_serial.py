"""Which serial port is the console: an option, what the firmware says, or COM1."""
import images
import pytest
import tables

pytestmark = pytest.mark.only("qemu-svm", "qemu-kvm", why="the back end of Bochs has one serial port")


def boot(machine, tmp_path, **options):
    """Runs the payload to its end, with COM1 on the test's line and COM2 in a file; returns both."""
    second = tmp_path / "com2"
    keel = machine.keel(images.payload_modules("exits=cpuid"), arguments=["-serial", "file:%s" % second], **options)
    assert keel.finish() == "clean"
    return keel.machine.output(), second.read_text(errors="replace")


def lines(text, what):
    return [line for line in text.splitlines() if what in line]


def test_option(machine, tmp_path):
    first, second = boot(machine, tmp_path, options="serial=com2,57600")
    assert not lines(first, "keel[")
    assert len(lines(second, "event=boot")) == 1
    assert lines(second, "vm0| payload:")


def test_none(machine, tmp_path):
    first, second = boot(machine, tmp_path, options="serial=none")
    assert not lines(first + second, "keel[")


def test_firmware_names_another(machine, tmp_path):
    """What was said before the tables were read is repeated there, and nothing comes twice."""
    path = tmp_path / "spcr.aml"
    path.write_bytes(tables.spcr(0x2F8, 3))
    first, second = boot(machine, tmp_path, acpi=[str(path)])
    assert lines(first, "keel[")
    for what in ("Keel 0", "event=boot", "event=poweroff"):
        assert len(lines(second, what)) == 1
    assert not lines(first, "event=boot")


def test_firmware_names_a_missing_one(machine, tmp_path):
    path = tmp_path / "spcr.aml"
    path.write_bytes(tables.spcr(0x3E8, 4))
    first, second = boot(machine, tmp_path, acpi=[str(path)])
    assert len(lines(first, "event=boot")) == 1
    assert lines(first, "there is no serial port at 0x3e8")
    assert not lines(second, "keel[")
