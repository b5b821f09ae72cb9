"""Cores of a VM's own (`cpus = ...,exclusive`): nobody else runs there, and its timers are on time whatever others do."""
import os
import re

import pytest
import vms
from vms import vm

TIMERS = int(os.environ.get("KEEL_LATE_TIMERS", 5000))      # `make soak` takes a million


@pytest.mark.only("bochs-vmx", why="in QEMU with -icount a timer of one core can wait for the other: README, Known limits")
def test_timers_on_an_exclusive_core(machine, tmp_path):
    """The worst of many timers is late by at most twice what is usual, while a VM on the other core does all that it can to disturb."""
    sections = ["[keel]\non_idle = monitor\n", vm("storm", cmdline="hog for=1000000", memory="32M"),
                vm("own", cmdline="late=%d" % TIMERS, cpus="1,exclusive")]
    keel = vms.boot(machine, tmp_path, sections, cores=2, counted=True, limit=900 + TIMERS // 500)
    found = keel.machine.expect(r"own\| late count=([0-9]+) median=([0-9]+) worst=([0-9]+)", 30 + TIMERS / 2000)
    assert int(found.group(1)) == TIMERS
    print("late: median %s, worst %s ticks" % found.groups()[1:])
    keel.event("vm", name="own", state="stopped", status="0")
    assert vms.failures(keel, "own") == [] and not keel.events("vm", name="storm", state="stopped")


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
