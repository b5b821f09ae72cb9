"""Every optional feature has a fallback that works: each forced off in turn, and all at once."""
import os
import re

import images
import pytest
import vms
from keel import vm_output

pytestmark = pytest.mark.cores_at_once

with open(os.path.join(images.TOP, "core", "x86", "caps.h")) as header:
    FEATURES = re.findall(r'^\s*X\(\w+,\s*"(\w+)"\)', header.read(), re.M)


# What a guest's own CPUID shows of a feature, so that its tests are others without it: with APICv there is no EOI through memory, and
# the TPR's shadow goes before that.
SHOWN = {"xsave", "xsaves", "rdtscp", "invpcid", "la57", "smep", "smap", "umip", "apicv", "tprshadow", "invtsc", "ug"}


def test_there_are_features():
    assert len(FEATURES) > 20
    assert SHOWN < set(FEATURES)


def looked_at(keel):
    """Each thing that the payload has looked at, in its order, and how it was."""
    return re.findall(r"^(ok|not ok|skip) (\S+)", "\n".join(vm_output(keel.machine.output(), "vm0")), re.M)


@pytest.fixture(scope="module")
def with_all(module_machine):
    """The same with all that the machine has."""
    keel = module_machine.keel(images.payload_modules(), counted=True)
    assert keel.finish(180) == "clean"
    return looked_at(keel)


@pytest.mark.parametrize("feature", FEATURES)
def test_without(machine, capabilities, with_all, feature):
    """The whole list of exits works without it, and a guest that isn't shown it finds all as with it: a fast way does what the slow one does."""
    if feature not in capabilities:
        pytest.skip("the machine has no %s, so each test of this machine runs without it" % feature)
    keel = machine.keel(images.payload_modules(), "disable=" + feature, counted=True)
    left = set(keel.event("cap", 60)["list"].split(","))
    assert feature not in left
    keel.machine.expect(r"payload: \d+ passed, 0 failed", 120)
    assert keel.finish(60) == "clean"
    if feature not in SHOWN:
        assert looked_at(keel) == with_all


@pytest.mark.only("bochs-vmx", why="APICv is Intel's")
@pytest.mark.parametrize("options, left", [("", {"apicv", "posted"}), ("disable=posted", {"apicv"}), ("disable=apicv", set())])
def test_apicv(machine, tmp_path, options, left):
    """Who delivers a guest's interrupts: the CPU, told by notifications; the CPU, told at entries; Keel. IPIs work each way."""
    keel = vms.boot(machine, tmp_path, [vms.vm("smp", cmdline="smp=2", vcpus=2, memory="32M")], options=options, cores=2)
    have = set(keel.event("cap", 60)["list"].split(","))
    assert have & {"apicv", "posted"} == left
    outcome = keel.finish(120)
    assert vms.failures(keel, "smp") == []
    assert outcome == "clean"


@pytest.mark.only("bochs-vmx", why="APICv is Intel's")
def test_linux_without_apicv(machine):
    """Elsewhere it runs with it."""
    keel = machine.linux(options="disable=apicv", cmdline="console=ttyS0 quiet")
    assert "apicv" not in keel.events("cap")[0]["list"].split(",")
    assert keel.power_off() == "clean"


def test_without_all(machine, capabilities):
    """Linux, with the required handful alone."""
    keel = machine.keel(options="disable=" + ",".join(sorted(capabilities)), cmdline="console=ttyS0 quiet")
    assert keel.event("cap", 60)["list"] in ("", "none")
    keel.linux_up(300)
    assert keel.power_off(120) == "clean"


def test_unknown_feature(machine):
    """A name that nothing has is reported, and nothing else happens."""
    keel = machine.keel(images.payload_modules("exits=cpuid"), "disable=warpdrive")
    keel.line("warpdrive")
    assert keel.finish() == "clean"
