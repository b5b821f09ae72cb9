"""What requests of a stock kernel cost in exits and interrupts, one at a time."""
import virtio
from monitor import Monitor

READS = 2000
BESIDE = 100    # of the commands: their characters, one by one, and ticks of the clock


def counters(keel, monitor):
    row, = monitor.enter().table("stats vm0")
    keel.machine.send("console vm0\r")
    keel.shell("true")
    return {kind: int(count) for kind, count in row.items() if kind not in ("vm", "vcpu", "run_us")}


def test_reads(machine, tmp_path):
    """4 KiB from a disk: an exit to tell of it, and an interrupt when it is done. Its end needs no exit, by KVM's interface or APICv."""
    conf = virtio.section("vm0", ["ram:16M"], vcpus=1, cmdline="console=ttyS0 quiet")
    keel = virtio.boot(machine, tmp_path, [conf], options="on_idle=monitor", counted=True, memory=512, cores=1)
    keel.linux_up()
    virtio.load(keel, "virtio_blk")
    monitor = Monitor(keel)
    command = "dd if=/dev/vda of=/dev/null bs=4k iflag=direct count=%d 2>&1 | grep copied"
    keel.shell(command % 10)
    before = counters(keel, monitor)
    idle = counters(keel, monitor)
    keel.shell(command % READS, 120)
    after = counters(keel, monitor)
    more = {kind: after[kind] - idle[kind] - (idle[kind] - before[kind]) for kind in after}
    print(more)
    assert READS <= more["exits"] + BESIDE and more["exits"] <= READS + BESIDE, more
    assert READS <= more["interrupts"] + BESIDE and more["interrupts"] <= READS + BESIDE, more
