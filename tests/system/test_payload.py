"""Our own guest looks at one kind of exit after the other (guests/payload)."""
import re

import images
import pytest
from keel import vm_output

GROUPS = ["cpuid", "msr", "x2apic", "ports", "string", "exceptions", "delivery", "debug", "cr", "pcid", "xsave", "cache",
          "instructions", "lapic", "ioapic", "hpet", "nmi", "hlt", "timer", "pv", "hv", "clocks", "modes", "mmio", "stack"]

# What the guest does to end itself: its VM's state, the reason, how the machine ends.
FAULTS = {
    "triple": ("crashed", None, "failed"),
}


@pytest.fixture(scope="module")
def exits(module_machine):
    """All tests in one run, on a machine whose clock a busy host cannot disturb."""
    keel = module_machine.keel(images.payload_modules(), counted=True)
    keel.machine.expect(r"payload: \d+ passed, \d+ failed", 120)
    return keel


def lines(keel):
    return vm_output(keel.machine.output(), "vm0")


@pytest.mark.parametrize("group", GROUPS)
def test_group(exits, group):
    named = [line for line in lines(exits) if re.match(r"(ok|not ok|skip) %s[.:\s_-]" % group, line)]
    assert [line for line in named if line.startswith("not ok")] == []
    assert [line for line in named if line.startswith("ok")], "no test of %s was seen" % group


def test_every_line(exits):
    """No failure hides in a group that is not listed here."""
    assert [line for line in lines(exits) if line.startswith("not ok")] == []


def test_end(exits):
    assert exits.finish() == "clean"


def test_real_mode(machine):
    """The walk through all modes with real mode in it, which not every CPU lets guests into."""
    keel = machine.keel(images.payload_modules("exits=real"), counted=True)
    keel.machine.expect(r"payload: \d+ passed, 0 failed", 120)
    assert keel.finish() == "clean"


@pytest.mark.only("qemu-svm", why="Bochs 3.0 panics when CR4.LA57 changes with a VM entry")
def test_five_levels(machine):
    """A CPU with 57 bits of linear addresses: its guests have them, too."""
    keel = machine.keel(images.payload_modules("exits=levels"), cpu="max", counted=True)
    keel.machine.expect(r"payload: \d+ passed, 0 failed", 60)
    assert "ok levels.code" in lines(keel)
    assert keel.finish() == "clean"


@pytest.mark.only("bochs-vmx", why="a CPU without unrestricted guest; SVM always has the like")
def test_real_mode_refused(machine):
    """Where guests can't be in real mode, the VM that goes there ends with a line that says why; all other modes work."""
    keel = machine.keel(images.payload_modules("exits=modes,real"), "disable=ug", counted=True)
    keel.line("the guest is in real mode, and this CPU has no unrestricted guest")
    assert "ok modes.protected-16" in lines(keel)
    assert keel.finish() == "failed"


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_fault(machine, fault):
    state, reason, outcome = FAULTS[fault]
    keel = machine.keel(images.payload_modules("fault=" + fault))
    vm = keel.event("vm", 60, state=state)
    assert reason is None or vm["reason"] == reason
    if state == "crashed":
        assert len(keel.events("crash")) == 1 and len(keel.events("crash-end")) == 1
    assert keel.finish() == outcome
