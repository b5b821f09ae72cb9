"""What requests of a stock kernel cost in exits and interrupts, one at a time."""
import os

import images
import virtio
from monitor import Monitor

READS = 10000
BESIDE = READS // 8     # the clock's ticks, and the terminal's interrupts


def counters(keel, monitor):
    row = monitor.enter().table("stats vm0")[0]
    keel.machine.send("console vm0\r")
    keel.shell("true")
    return {kind: int(count) for kind, count in row.items() if kind not in ("vm", "vcpu", "run_us")}


def test_reads(machine, tmp_path):
    """4 KiB from a disk: an exit to tell of it, and an interrupt when it is done. Its end needs no exit, by KVM's interface or APICv."""
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "guest_reads.c")
    conf = virtio.section("vm0", ["ram:16M"], vcpus=1, cmdline="console=ttyS0 quiet")
    keel = virtio.boot(machine, tmp_path, [conf], archives=[images.program(source, str(tmp_path))], options="on_idle=monitor", counted=True, memory=512, cores=1)
    keel.linux_up()
    virtio.load(keel, "virtio_blk")
    monitor = Monitor(keel)
    keel.shell("/program 10")
    before = counters(keel, monitor)
    idle = counters(keel, monitor)
    keel.shell("/program %d" % READS, 120)
    after = counters(keel, monitor)
    more = {kind: after[kind] - idle[kind] - (idle[kind] - before[kind]) for kind in after}
    print(more)
    assert more["memory"] == READS
    assert more["exits"] - more["port"] <= READS + BESIDE, more       # the command is typed, character by character
    assert READS <= more["interrupts"] <= READS + BESIDE, more
