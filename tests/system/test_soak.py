"""The soak (soak.py). `make soak [SECONDS=N] [SEED=N] [BACKEND=B]` runs it alone, for longer, or once more as it was."""
import os
import random

import vms
from soak import LEFT_ALONE, Soak, sections

# Of the guests' time in `make test`: starts of Linux are what takes long.
SECONDS = {"svm": 20, "vmx": 8}
# All are on one core of 250 (QEMU) or 100 million instructions a second. Our own guest waits for others' turns, of 5 ms each, and in
# Bochs for an audit, of 10. Linux tells the time in steps of 10 ms and has a start of its own in each of its seconds.
LATE_MS = {"svm": {"beat": 15, "beat2": 15, "linux": 50}, "vmx": {"beat": 30, "beat2": 30, "linux": 100}}


def test_soak(kind, machine, tmp_path, capsys):
    seed = int(os.environ.get("KEEL_SOAK_SEED") or random.randrange(1 << 32))
    seconds = int(os.environ.get("KEEL_SOAK_SECONDS") or SECONDS.get(kind.vendor, 60))
    with capsys.disabled():
        print("soak: seed %d, %d seconds" % (seed, seconds), flush=True)
    keel = vms.boot(machine, tmp_path, sections(max(seconds // 4, 30)), counted=True, shift=2, memory=768, limit=60 + 20 * seconds)
    keel.machine.expect("keel> ", 60)
    soak = Soak(keel.machine, random.Random(seed))
    before = soak.memory()
    soak.start_all()
    soak.run(seconds, longest_pause=60)
    soak.audit()
    late, gaps = soak.latest(), soak.gaps()
    soak.stop_all()
    with capsys.disabled():
        print("soak: orders %s, events %d, worst heartbeats in ms: %s" % (soak.orders, len(soak.events), late), flush=True)
    assert soak.memory() == before
    soak.audit()
    assert all(not missing for missing in gaps.values()), gaps
    assert set(late) == set(LEFT_ALONE)
    assert all(late[name] <= LATE_MS[kind.vendor][name] for name in late), late
    crashed = {event["vm"] for event in soak.events if event["event"] == "crash"}
    assert crashed <= {"crash"}, crashed
