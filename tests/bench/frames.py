"""What `bench=net` of the payload says of frames between two VMs that share a core: all that both and Keel execute."""
import vms

# As guests/payload/bench_virtio.c has them.
BURST, BURST_LARGE, LARGE = 16, 3, 65535

# Instructions per second in Bochs, as in QEMU: how many frames go into a turn of the scheduler's depends on it.
IPS = 1000000000


def sections():
    return [vms.vm(name, cmdline="bench=" + name, net="lan0") for name in ("net", "echo")]


def figures(found):
    """From what the payload has printed, by name."""
    one_way = found["net-ping"] / 2
    burst = (found["net-burst-64k"] - one_way) / BURST_LARGE
    return {
        "net-ping": found["net-ping"],
        "net-burst-64": (found["net-burst-64"] - one_way) / BURST,
        "net-frame-64k": found["net-frame-64k"] - one_way,
        "net-burst-64k": burst,
        "net-byte-64k": burst / LARGE,
        "net-own-64k": burst - 2 * LARGE / 8,   # a copy moves eight bytes with an instruction
    }
