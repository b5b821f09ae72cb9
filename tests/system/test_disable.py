"""Every optional feature has a fallback that works: each forced off in turn, and all at once."""
import os
import re

import images
import pytest
import vms

with open(os.path.join(images.TOP, "core", "x86", "caps.h")) as header:
    FEATURES = re.findall(r'^\s*X\(\w+,\s*"(\w+)"\)', header.read(), re.M)


def test_there_are_features():
    assert len(FEATURES) > 20


@pytest.mark.parametrize("feature", FEATURES)
def test_without(machine, capabilities, feature):
    """The whole list of exits works without it."""
    if feature not in capabilities:
        pytest.skip("the machine has no %s, so each test of this machine runs without it" % feature)
    keel = machine.keel(images.payload_modules(), "disable=" + feature, counted=True)
    left = set(keel.event("cap", 60)["list"].split(","))
    assert feature not in left
    keel.machine.expect(r"payload: \d+ passed, 0 failed", 120)
    assert keel.finish(60) == "clean"


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
