"""Faults of the hypervisor itself (option test=): registers, a stack trace with names, the core, and then as configured."""
import images
import pytest

FAULTS = ["fault", "guard", "assert", "text", "exec", "null"]


@pytest.mark.parametrize("fault", FAULTS)
def test_panic(machine, fault):
    keel = machine.keel(images.payload_modules("exits=cpuid"), "panic=poweroff test=" + fault)
    panic = keel.event("panic", 60)
    assert panic["core"] == "0" and panic["message"]
    assert keel.finish() == "failed"
    report = [line for line in keel.machine.output().split("\n") if "] panic: " in line]
    assert any("cr3=" in line for line in report)
    assert any("+0x" in line for line in report), "no symbol in the stack trace"


def test_panic_elsewhere(machine):
    """The report names the core on which it happened."""
    keel = machine.keel(images.payload_modules("exits=cpuid"), "panic=poweroff test=remote", cores=2)
    assert keel.event("panic", 60)["core"] == "1"
    assert keel.finish() == "failed"
