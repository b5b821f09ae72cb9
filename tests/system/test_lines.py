"""No cache line that a core writes on the way of common exits is touched by another core on that way: exits cost the same on each
of many cores. Seen from outside: a plugin of QEMU's counts who touches what while Keel's own code runs (tests/lines/lines.c).

What is inside a VM shared by its vCPUs, as devices on its ports are, has a lock of that VM's; HLT, what wakes from it and the end
of a turn have the scheduler's. These are no common ways, and not among the exits here.
"""
import bisect
import os
import re
import subprocess

import images
import pytest
import vms
from vms import vm

SOURCE = os.path.join(images.TOP, "tests", "lines", "lines.c")
OWN = "cpuid,msr,wbinvd,selfipi,deadline"                   # what only the vCPU itself has to do with
ALL = OWN + ",port,mmio,nothing,timer"
OFTEN = 100         # times: a timer's interrupt or the end of a turn comes seldom
CORES = 2
ONLY = "Bochs has no such interface; all but a back end's own structures is the same there"


def plugin(directory):
    path = os.path.join(str(directory), "lines.so")
    subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", path, SOURCE], check=True)
    return path


def symbols():
    out = subprocess.run(["nm", images.KEEL], check=True, stdout=subprocess.PIPE, text=True).stdout
    return sorted((int(address, 16), name) for address, name in re.findall(r"^(\w+) \w (\w+)$", out, re.M))


def named(table, address):
    start, name = table[bisect.bisect_right(table, (address, "~")) - 1]
    return "%s+%#x" % (name, address - start) if address >= table[0][0] else "%#x" % address


def read(path):
    """Exits by core; and of each line that several cores touch, its address and [(reads, writes, code)] by core."""
    exits, lines = {}, []
    with open(path) as file:
        for kind, *fields in map(str.split, file):
            if kind == "exits":
                exits[int(fields[0])] = int(fields[1])
            else:
                by = [(int(reads), int(writes), int(code, 16)) for reads, writes, code in zip(*[iter(fields[2:])] * 3)]
                lines.append((int(fields[1], 16), by[:CORES]))
    return exits, lines


def shared(lines):
    """Those that one core writes often, and another one reads or writes often."""
    table, found = symbols(), []
    for address, by in lines:
        writers = [core for core in range(CORES) if by[core][1] > OFTEN]
        users = [core for core in range(CORES) if by[core][0] + by[core][1] > OFTEN]
        if writers and len(users) > 1:
            found.append("%s: %s" % (named(table, address), ", ".join(
                "core %d reads %d writes %d at %s" % (core, *by[core][:2], named(table, by[core][2])) for core in users)))
    return found


def storm(machine, directory, sections):
    """Exits by core, and the lines that were shared."""
    out = str(directory / "lines")
    keel = vms.boot(machine, directory, sections, cores=CORES, counted=True,
                    arguments=["-plugin", "%s,out=%s" % (plugin(directory), out)])
    assert keel.finish(120) == "clean"
    exits, lines = read(out)
    return [exits[core] for core in range(CORES)], shared(lines)


def pair(kinds, ms):
    return [vm(name, cmdline="hog=%s for=%d" % (kinds, ms), cpus=core) for name, core in (("a", "0"), ("b", "1"))]


@pytest.mark.only("qemu-svm", why=ONLY)
@pytest.mark.parametrize("sections", [
    pytest.param(pair(ALL, 5), id="two-vms"),
    pytest.param([vm("a", cmdline="hog=%s smp=2 for=10" % OWN, vcpus=2)], id="two-vcpus")])
def test_no_line_is_shared(machine, tmp_path, sections):
    exits, found = storm(machine, tmp_path, sections)
    assert min(exits) > 25000, exits
    assert found == []


@pytest.mark.only("qemu-svm", why=ONLY)
def test_devices_are_shared(machine, tmp_path):
    """By the vCPUs of their VM: which shows that what is shared is seen."""
    exits, found = storm(machine, tmp_path, [vm("a", cmdline="hog=port smp=2 for=10", vcpus=2)])
    assert min(exits) > 1000, exits
    assert any("exit_in+" in line for line in found), found


@pytest.mark.only("qemu-svm", why=ONLY)
def test_ipis_take_no_lock(machine, tmp_path):
    """Between vCPUs that run: only the receiver's LAPIC and what it is to look at are shared. One that sleeps has to be woken, which
    takes the scheduler's lock: that this is seen shows that a lock would be."""
    def lockers(kinds):
        _, found = storm(machine, tmp_path, [vm("a", cmdline="hog=%s smp=2 for=10" % kinds, vcpus=2)])
        assert found
        return [line for line in found if re.search(r"sched|lock|devices", line)]
    assert lockers("broadcast,nmi") == []
    assert lockers("sleep") != []
