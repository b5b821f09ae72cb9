"""Lives that end with disk and network at work: by the guest's crash, and by pauses, resets and destruction from outside. What
was flushed stays, no block is half written, and nothing of the pool is lost."""
import re

import vms
from monitor import Monitor

ROUNDS = {"svm": 4, "vmx": 1}     # in Bochs, reports of crashes take seconds on the serial port
DEVICES = {"disk": "rw.img,iops=3000", "net": "lan0"}


def lives(lines):
    """What each life found, and the last that the one before had flushed and said so: (found, flushed, torn)."""
    found, flushed = [], 0
    for line in lines:
        last = re.match(r"life last=(\d+) torn=(\d+)$", line)
        if last:
            found.append((int(last.group(1)), flushed, int(last.group(2))))
        flush = re.match(r"life flushed=(\d+)$", line)
        flushed = int(flush.group(1)) if flush else flushed
    return found


def test_ends(kind, machine, tmp_path):
    path = tmp_path / "rw.img"
    path.write_bytes(bytes(256 << 10))
    keys = {"on_crash": "restart", "on_reboot": "restart"}
    sections = ["[keel]\non_idle = monitor\n",
                vms.vm("life", cmdline="bench=life", **DEVICES, **keys),
                vms.vm("flood", cmdline="bench=flood", net="lan0,fps=5000", **keys),
                vms.vm("echo", cmdline="bench=echo", net="lan0", **keys),
                vms.vm("dies", cmdline="bench=life count=20", disk="ram:1M,iops=3000", on_crash="restart")]
    keel = machine.keel(vms.modules(tmp_path, sections) + [(str(path), "rw.img")], memory=256)
    keel.machine.expect(r"life\| life flushed", 120)
    keel.machine.expect(r"dies\| life flushed", 120)
    monitor = Monitor(keel).enter()
    pool = {row["vm"]: row["pool_kib"] for row in monitor.table("vm list")}
    rounds = ROUNDS.get(kind.vendor, 4)
    for _ in range(rounds):
        for name in ("life", "flood"):
            monitor.ask("vm pause " + name)
            monitor.vm(name, "paused", 60)
            monitor.ask("vm resume " + name)
        keel.machine.expect(r"life\| life flushed", 60)
        for name in ("life", "echo"):
            monitor.ask("vm reset " + name)
        keel.machine.expect(r"life\| life flushed", 60)
        for name in ("life", "flood"):
            monitor.ask("vm stop " + name)
            monitor.vm(name, "stopped", 60)
            monitor.ask("vm start " + name)
        keel.machine.expect(r"life\| life flushed", 60)
    keel.machine.expect(r"dies\| life last", 60)      # a report is as slow as the serial port
    assert monitor.table("audit")[0]["faults"] == "0"
    counters = monitor.table("net echo")[0]
    assert int(counters["received"]) > 0 and int(counters["sent"]) > 0
    monitor.ask("vm stop dies")
    monitor.vm("dies", ("stopped", "crashed"), 60)      # one whose report is being written has crashed
    assert {row["vm"]: row["pool_kib"] for row in monitor.table("vm list") if row["vm"] != "dies"} == {
        name: kib for name, kib in pool.items() if name != "dies"}
    for name in ("life", "dies"):
        found = lives(vms.output(keel, name))
        print("%s: %s" % (name, found))
        assert len(found) > 2 * rounds if name == "life" else len(found) > 1
        assert all(last >= flushed and torn == 0 for last, flushed, torn in found), found
