"""All cores of the machine come into root mode or host mode; odd processor tables do no harm."""
import images
import pytest
import tables

pytestmark = pytest.mark.cores_at_once


def modules():
    return images.payload_modules("exits=cpuid")


@pytest.mark.parametrize("cores", [1, 2, 4, 16])
def test_all_cores(machine, cores):
    keel = machine.keel(modules(), cores=cores)
    assert keel.event("boot", 120)["cores"] == str(cores)
    assert keel.event("cap")["cores"] == str(cores)
    assert keel.finish(120) == "clean"


def test_both_in_one_vm(machine):
    """Without a keel.conf, the VM has a CPU on each core, and they find each other."""
    keel = machine.keel(images.payload_modules("smp=2"), cores=2)
    keel.machine.expect(r"payload: \d+ passed, 0 failed", 60)
    assert keel.finish() == "clean"


def with_madt(machine, tmp_path, cores, entries, **header):
    path = tmp_path / "madt.aml"
    path.write_bytes(tables.madt(entries + [tables.ioapic()], **header))
    return machine.keel(modules(), cores=cores, acpi=[str(path)])


def test_x2apic_entries(machine, tmp_path):
    """Processors that the table lists as x2APIC ones, although their ids are small."""
    keel = with_madt(machine, tmp_path, 2, [tables.lapic(0), tables.x2apic(1)])
    assert keel.event("boot", 120)["cores"] == "2"
    assert keel.finish() == "clean"


def test_both_entries(machine, tmp_path):
    """A processor that is listed twice is one processor."""
    keel = with_madt(machine, tmp_path, 2, [tables.lapic(0), tables.lapic(1), tables.x2apic(0), tables.x2apic(1)])
    assert keel.event("boot", 120)["cores"] == "2"
    assert keel.finish() == "clean"


def test_sparse_and_disabled(machine, tmp_path):
    """Of four processors, the table has the second disabled and the third not at all."""
    keel = with_madt(machine, tmp_path, 4, [tables.lapic(0), tables.lapic(1, flags=0), tables.lapic(3)])
    assert keel.event("boot", 120)["cores"] == "2"
    assert keel.finish() == "clean"


def test_silent_core(machine, tmp_path):
    """A core that does not answer is reported and left out, and the boot goes on."""
    keel = with_madt(machine, tmp_path, 2, [tables.lapic(0), tables.lapic(1), tables.lapic(9)])
    keel.line("0x9 is left out", 120)
    assert keel.event("boot", 120)["cores"] == "2"
    assert keel.finish() == "clean"
