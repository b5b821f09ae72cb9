"""Every optional feature has a fallback that works: each forced off in turn, and all at once."""
import os
import re

import images
import pytest

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


@pytest.mark.parametrize("options, left", [("apicv=yes", {"apicv", "posted"}), ("apicv=yes disable=posted", {"apicv"}), ("", set())])
def test_apicv(machine, options, left):
    """Interrupts that the CPU delivers: on request, since an emulator can get them wrong."""
    if machine.kind.vendor != "vmx":
        pytest.skip("APICv is Intel's")
    keel = machine.keel(images.payload_modules(), options, counted=True)
    have = set(keel.event("cap", 60)["list"].split(","))
    if "apicv" in left and "apicv" not in have:
        pytest.skip("the machine has no APICv")
    assert have & {"apicv", "posted"} == left
    keel.machine.expect(r"payload: \d+ passed, 0 failed", 120)
    assert keel.finish(60) == "clean"


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
