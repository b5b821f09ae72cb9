"""Cores of a VM's own (`cpus = ...,exclusive`): nobody else runs there, and its timers and IPIs are on time whatever others do."""
import os
import re

import pytest
import vms
from vms import vm

TIMES = int(os.environ.get("KEEL_LATE_TIMERS", 5000))      # `make soak` takes a million


NOT_COUNTED = "in QEMU with -icount a timer of one core can wait for the other: README, Known limits"


def measure(machine, directory, cmdline, cores):
    """Runs a VM with all cores but the first for itself, beside one on that which does all that it can to disturb."""
    sections = ["[keel]\non_idle = monitor\n", vm("storm", cmdline="hog for=1000000", memory="32M"),
                vm("own", cmdline=cmdline, vcpus=cores - 1, cpus="1-%d,exclusive" % (cores - 1))]
    keel = vms.boot(machine, directory, sections, cores=cores, counted=True, limit=900 + TIMES // 250)
    found = keel.machine.expect(r"own\| late what=\S+ count=([0-9]+) median=([0-9]+) worst=([0-9]+)\s", 30 + TIMES / 1000)
    assert int(found.group(1)) == TIMES
    print("%s: median %s, worst %s ticks" % (cmdline, *found.groups()[1:]))
    keel.event("vm", name="own", state="stopped", status="0")
    assert vms.failures(keel, "own") == [] and not keel.events("vm", name="storm", state="stopped")


@pytest.mark.only("bochs-vmx", why=NOT_COUNTED)
def test_timers_on_an_exclusive_core(machine, tmp_path):
    """The worst of many timers is late by at most twice what is usual."""
    measure(machine, tmp_path, "late=%d" % TIMES, cores=2)


@pytest.mark.only("bochs-vmx", why=NOT_COUNTED)
@pytest.mark.parametrize("target", ["running", "halted"])
def test_ipis_between_exclusive_cores(machine, tmp_path, target):
    """So is the worst of many IPIs, to a vCPU that runs and to one that sleeps."""
    measure(machine, tmp_path, "ipi=%d late %s" % (TIMES, target), cores=3)


def test_who_gets_which_cores(machine, tmp_path):
    """Others are kept from an exclusive core, or told that they miss it; one that can't be exclusive isn't started."""
    sections = [vm("own", cmdline="beat=10 for=50", cpus="1,exclusive"),
                vm("anywhere", cmdline="beat=10 for=50", vcpus=2),
                vm("there", cmdline="beat=10 for=50", cpus="0-1"),
                vm("late", cmdline="beat=10 for=50", cpus="1,exclusive"),
                vm("zero", cmdline="beat=10 for=50", cpus="0,exclusive"),
                vm("many", cmdline="beat=10 for=50", cpus="1-3,exclusive", vcpus=2)]
    keel = vms.boot(machine, tmp_path, sections, cores=2)
    assert keel.finish(100) == "failed"     # not all could be started
    for wanted in (r"vm=there: core 1 is exclusive to VM own", r"vm=late: core 1 is exclusive to VM own",
                   r"vm=late: it may use the cores", r"vm=zero: core 0 does Keel's own work and can't be exclusive"):
        assert re.search(wanted, keel.machine.output()), wanted
    assert "vm=anywhere: core" not in keel.machine.output()
    for name in ("own", "anywhere", "there"):
        assert vms.failures(keel, name) == []
    assert {vm["vm"] for vm in keel.events("plan")} == {"own", "anywhere", "there"}
