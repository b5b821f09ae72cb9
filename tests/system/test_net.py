"""Networks between VMs: stock kernels' own drivers reach each other through a switch, and nobody else."""
import os
import re

import images
import virtio
import vms
from monitor import Monitor

NET = ["failover", "net_failover", "virtio_net"]
IPERF = os.path.join(images.TOP, "build", "guest", "iperf.gz")

# What the receiver and the sender switch off, round by round: nothing; on the receiver what lets long frames in, so that the
# hypervisor cuts them; and all that can be, so that every checksum is whole when it leaves.
ALL_ON, CUT, ALL_OFF = ("", ""), ("rx-gro-hw off", ""), ("gro off", "tx off sg off tso off gso off")

# The sender waits for a cue, which is the options that it is to set: at least dashes, so that each is another one.
SERVER = """
ifconfig eth0 10.0.0.1 up
mkdir /www
dd if=/dev/urandom of=/www/f bs=64k count=8 2>/dev/null
echo "sum $(sha256sum </www/f)"
httpd -h /www
while read -r receiver sender; do
    case $receiver in *[a-z]*) ethtool -K eth0 $(echo $receiver | tr , ' ') ;; esac
    echo $sender >/www/go
    iperf3 -s -1 >/dev/null
done <<END
%(rounds)s
END
nc -l -p 9
"""
CLIENT = """
counts() { cat /sys/class/net/eth0/statistics/tx_packets /sys/class/net/eth0/statistics/tx_bytes | tr '\\n' ' '; }
ifconfig eth0 10.0.0.2 up
until ping -c 1 -W 1 10.0.0.1 >/dev/null; do sleep 1; done
ping -c 5 10.0.0.1
ifconfig eth0
ls -d /sys/class/net/eth0/queues/rx-*
ethtool -k eth0 | grep -E '^(rx-checksumming|tx-checksumming|tcp-segmentation-offload|rx-gro-hw):'
round=0
while read -r receiver sender; do
    until [ "$(wget -q -O - http://10.0.0.1/go)" = "$sender" ]; do sleep 1; done
    case $sender in *[a-z]*) ethtool -K eth0 $(echo $sender | tr , ' ') ;; esac
    before=$(counts)
    until iperf3 -c 10.0.0.1 -n %(bytes)d -J >/report 2>/dev/null; do sleep 1; done
    echo "round $round $before $(counts)"
    sed -n '/"sum_sent"/,/}/p' /report | tr -d ' \\t\\n'; echo
    wget -q -O /f http://10.0.0.1/f
    echo "sum $(sha256sum </f)"
    round=$((round + 1))
done <<END
%(rounds)s
END
ifconfig eth1 10.0.1.2 up
ping -c 1 -W 1 10.0.1.1
carrier() { until [ "$(cat /sys/class/net/eth1/carrier)" = $1 ]; do sleep 1; done; }
seconds() { before=$(cut -d ' ' -f 1 /proc/uptime); "$@" 2>/dev/null; echo "took $before $(cut -d ' ' -f 1 /proc/uptime)"; }
seconds dd if=/dev/vda of=/dev/null bs=64k count=8
echo "waits for the cable"
carrier 0
echo "the cable is out"
carrier 1
seconds dd if=/dev/vda of=/dev/null bs=64k skip=16 count=8
seconds wget -q -O /f http://10.0.0.1/f
echo | nc 10.0.0.1 9
dmesg -r | grep -E '^<[0-4]>.*(virtio|eth)'
"""


def scripts(rounds, count):
    lines = "\n".join("%s %s" % (receiver.replace(" ", ",") or "-", sender.replace(" ", ",") or "-" * (number + 1))
                      for number, (receiver, sender) in enumerate(rounds))
    words = {"rounds": lines, "bytes": count}
    return {"server": SERVER % words, "client": CLIENT % words}


def sums(keel, name):
    return re.findall(r"^sum ([0-9a-f]{64}) ", "\n".join(vms.output(keel, name)), re.M)


def frame_sizes(output):
    """The mean size of the frames that each round sent."""
    rows = [[int(n) for n in row.split()] for row in re.findall(r"^round \d+ ([\d ]+)$", output, re.M)]
    return [(bytes_after - bytes_before) / (after - before) for before, bytes_before, after, bytes_after in rows]


def steer(keel, cut):
    """Shows what the monitor has to say of the devices, pulls a cable, changes limits, and plugs the cable in again."""
    keel.machine.expect(r"client\| waits for the cable", 600)
    monitor = Monitor(keel).enter()
    disk, = monitor.table("disk client")
    assert (disk["bps"], disk["iops"], disk["index"]) == ("524288", "1000", "0") and int(disk["held"]) > 0
    assert int(disk["read_bytes"]) >= 8 << 16
    ports = {(row["vm"], row["index"]): row for row in monitor.table("net")}
    assert {key: row["net"] for key, row in ports.items()} == {
        ("server", "0"): "lan0", ("server", "1"): "lan2", ("client", "0"): "lan0", ("client", "1"): "lan1"}
    client, server = ports["client", "0"], ports["server", "0"]
    for sender, receiver in ((client, server), (server, client)):      # some multicasts nobody wants
        assert 0 <= int(sender["sent"]) - int(receiver["received"]) - int(receiver["dropped"]) < 20, ports
    assert {row["sent_bad"] for row in ports.values()} == {"0"}
    assert (int(server["cut"]) + int(client["cut"]) > 0) == cut
    queues = [row for row in monitor.table("dev client") if "queue" in row and row["slot"] == client["slot"]]
    assert len(queues) == 2 * int(client["pairs"]) + 1
    assert monitor.table("net client 1 link down")[0]["link"] == "down"
    keel.machine.expect(r"client\| the cable is out")
    assert monitor.table("net server bps=256K")[0]["bps"] == "262144"
    assert monitor.table("disk client 0 bps=0 iops=0")[0]["bps"] == "0"
    assert monitor.table("net client 1 link up")[0]["link"] == "up"


def check_times(output):
    """A limited disk and a limited port take as long as their limits say; without one, the disk doesn't."""
    limited, free, port = [float(end) - float(begin) for begin, end in re.findall(r"^took ([\d.]+) ([\d.]+)$", output, re.M)]
    assert 0.7 < limited < 2 and free < 0.5 and 1.6 < port < 4, (limited, free, port)


def test_two_vms(kind, machine, tmp_path):
    """They ping each other; iperf3 and a file arrive with offloads on and off on either side, in as many frames as they
    should; on another switch there is no answer. The monitor shows it all, and can change limits and pull a cable."""
    fast = kind.vendor == "svm"
    rounds, count, vcpus = ([ALL_ON, CUT, ALL_OFF], 1 << 20, 2) if fast else ([ALL_ON, ALL_OFF], 1 << 18, 1)
    archives = [IPERF, virtio.archive(tmp_path, scripts(rounds, count))]
    sections = [virtio.section(name, nets=nets, disks=disks, vcpus=count, virtio_rings=rings,
                               cmdline="console=ttyS0 quiet " + virtio.run(virtio.loading(*modules), "sh /" + name))
                for name, nets, disks, rings, count, modules in (
                    ("server", ["lan0", "lan2"], [], "packed", 1, NET),
                    ("client", ["lan0,mac=52:54:00:12:34:56", "lan1"], ["ram:2M,bps=512K,iops=1000"], "split", vcpus,
                     NET + ["virtio_blk"]))]
    keel = virtio.boot(machine, tmp_path, sections, archives=archives, counted=True, memory=1024)
    steer(keel, CUT in rounds)
    assert {(event["disk"], event["bps"]) for event in keel.events("plan", vm="client") if "disk" in event} == {("0", "524288")}
    assert keel.finish(900) == "clean"
    output = "\n".join(vms.output(keel, "client"))
    assert "5 packets transmitted, 5 packets received, 0% packet loss" in output
    assert re.search(r"HWaddr 52:54:00:12:34:56", output)
    assert "1 packets transmitted, 0 packets received, 100% packet loss" in output
    assert not re.search(r"^<[0-4]>", output, re.M)
    assert len(re.findall(r"queues/rx-\d", output)) == vcpus
    for feature in ("rx-checksumming", "tx-checksumming", "tcp-segmentation-offload", "rx-gro-hw"):
        assert re.search(r"^%s: on" % feature, output, re.M), output
    # It looks at what it has sent now and then: a block of 128 KiB more than was asked for was seen.
    sent = [int(n) for n in re.findall(r'"sum_sent":{[^}]*"bytes":(\d+)', output)]
    assert len(sent) == len(rounds) and all(count <= n <= count + (256 << 10) for n in sent), sent
    sizes = frame_sizes(output)
    print("bytes of a frame: %s" % ["%.0f" % size for size in sizes])
    assert [size < 1515 for size in sizes] == ["tso" in sender for _, sender in rounds]
    # Bochs' quarter of a MiB is over while TCP's window still opens: 6,100 and 7,570 bytes were seen there.
    assert max(sizes) > (8000 if fast else 3 * 1514) and len(sums(keel, "client")) == len(rounds)
    assert set(sums(keel, "client")) == set(sums(keel, "server"))
    check_times(output)
