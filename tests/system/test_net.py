"""Networks between VMs: stock kernels' own drivers reach each other through a switch, and nobody else."""
import re

import virtio
import vms

NET = ["failover", "net_failover", "virtio_net"]
MACHINE = {"counted": True, "memory": 768}
SERVER = virtio.run(
    virtio.loading(*NET), "ifconfig eth0 10.0.0.1 up", "mkdir /www", "dd if=/dev/urandom of=/www/f bs=64k count=32 2>/dev/null",
    "sha256sum /www/f", "httpd -h /www", "nc -l -p 9")
CLIENT = virtio.run(
    virtio.loading(*NET), "ifconfig eth0 10.0.0.2 up", "until ping -c 1 -W 1 10.0.0.1 >/dev/null; do sleep 1; done",
    "ping -c 5 10.0.0.1", "wget -q -O /f http://10.0.0.1/f", "sha256sum /f", "ifconfig eth0", "ifconfig eth1 10.0.1.2 up",
    "ping -c 1 -W 1 10.0.1.1", "echo | nc 10.0.0.1 9", "dmesg -r | grep -E '^<[0-4]>.*(virtio|eth)'")


def sums(keel, name):
    return set(re.findall(r"^([0-9a-f]{64}) ", "\n".join(vms.output(keel, name)), re.M))


def test_two_vms(machine, tmp_path):
    """They ping each other and a file arrives as it was; on another switch there is no answer."""
    sections = [
        virtio.section("server", nets=["lan0", "lan2"], cmdline="console=ttyS0 quiet " + SERVER),
        virtio.section("client", nets=["lan0,mac=52:54:00:12:34:56", "lan1"], virtio_rings="split",
                       cmdline="console=ttyS0 quiet " + CLIENT)]
    keel = virtio.boot(machine, tmp_path, sections, **MACHINE)
    assert keel.finish(600) == "clean"
    output = "\n".join(vms.output(keel, "client"))
    assert "5 packets transmitted, 5 packets received, 0% packet loss" in output
    assert re.search(r"HWaddr 52:54:00:12:34:56", output)
    assert "1 packets transmitted, 0 packets received, 100% packet loss" in output
    assert len(sums(keel, "client")) == 1 and sums(keel, "client") == sums(keel, "server")
    assert not re.search(r"^<[0-4]>", output, re.M)
