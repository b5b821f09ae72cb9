"""keel.conf at boot: each fault costs a line and one VM, what the machine can't give is refused before anything starts."""
import os
import re
import shutil
import subprocess

import images
from monitor import PAYLOAD, conf, modules

READER = os.path.join(images.TOP, "build", "keelconf")

FAULTY = """\
colour = blue
[keel]
on_idle = sleep
disable = apicv,antigravity
[vm good]
kernel = exits
memory = 16M
cmdline = beat=5 for=10
[vm bad]
kernel = exits
memory = lots
vcpus = 0
cpus = 3-1
on_crash
[vm lost]
kernel = nowhere
initrd = neither
memory = 16M
[vm good]
kernel = exits
memory = 16M
[vm empty]
[vm also]
kernel = exits
memory = 16M
cmdline = beat=5 for=10
frobs = 7
[wm x]
[vm last]
kernel = exits
memory = 16M
cmdline = beat=5 for=10
"""


def told(keel):
    return re.findall(r"keel\[[0-9. ]+\] (keel\.conf:[^\r\n]*)", keel.machine.output())


def test_all_faults(machine, tmp_path):
    """The hypervisor says what the reader on the build machine says, line by line; the sound VMs run, the others don't."""
    described = modules(tmp_path / "keel.conf", FAULTY)
    shutil.copyfile(PAYLOAD, tmp_path / "exits")
    reader = subprocess.run([READER, "keel.conf"], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    wanted = reader.stderr.splitlines()
    keel = machine.keel(described, memory=128)
    assert keel.finish(60) == "failed"      # not all VMs ended well: some couldn't begin
    assert told(keel) == wanted and len(wanted) == 14
    for line in (1, 3, 4, 11, 12, 13, 14, 16, 17, 19, 22, 27, 28):
        assert any(fault.startswith("keel.conf:%d: " % line) for fault in wanted), line
    for name in ("good", "last"):
        assert [event["vm"] for event in keel.events("plan")].count(name) == 1
        assert keel.events("vm", name=name, state="stopped", reason="poweroff", status="0")
    assert {event["vm"] for event in keel.events("plan")} == {event["name"] for event in keel.events("vm")} == {"good", "last"}


def test_plan(machine, tmp_path):
    """The first ones that fit get what they want; the arithmetic for the others is shown, and they start nothing."""
    keys = {"cmdline": "beat=5 for=10", "memory": "32M"}
    keel = machine.keel(modules(tmp_path / "keel.conf", conf(
        a=keys, huge={**keys, "memory": "1024G"}, b=keys, wide={**keys, "memory": "64M"}, far={**keys, "cpus": "5-6,9"},
        c={**keys, "memory": "10M", "cpus": "0,7"}, later={**keys, "memory": "64M", "autostart": "no"})), memory=144)
    assert keel.finish(60) == "failed"
    plans = {event["vm"]: event for event in keel.events("plan")}
    text = keel.machine.output()
    total, left = map(int, re.search(r"vm=wide: it wants 64 MiB of memory; of (\d+) MiB for guests, (\d+) MiB are left for it",
                                     text).groups())
    assert left == total - 2 * 32
    assert re.search(r"vm=huge: it wants 1048576 MiB of memory; of %d MiB for guests, %d MiB are left" % (total, total - 32), text)
    assert re.search(r"vm=far: it may use the cores 5-6,9, and none of them is there; this machine has 0-0\b", text)
    assert set(plans) == {"a", "b", "c", "later"}
    assert text.index("event=audit") > max(text.rindex("event=plan"), text.rindex("vm=far:"))
    assert {event["name"] for event in keel.events("vm")} == {"a", "b", "c"}
    for name in "abc":
        assert keel.events("vm", name=name, state="stopped", reason="poweroff", status="0")
