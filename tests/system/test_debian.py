"""A whole distribution from a disk image: Debian's own systemd on a virtio disk, as debootstrap makes it."""
import hashlib
import os
import re
import subprocess

import pytest

import images
import virtio
import vms
from backends.machine import TOP

pytestmark = pytest.mark.cores_at_once

GUEST = os.path.join(TOP, "build", "guest")
LONG = bool(os.environ.get("KEEL_SOAK_SECONDS"))     # `make soak`
PROGRAM = 'int printf(const char *, ...); int main(void) { printf("compiled-%d", 6 * 7); return 0; }'
JOBS = "--name=v --rw=randwrite --bsrange=4k-64k --size=20m --ioengine=libaio --iodepth=16 --direct=1 --verify=crc32c --verify_fatal=1"


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest() if hasattr(hashlib, "file_digest") else hashlib.md5(file.read()).hexdigest()


def starter(directory):
    """The initramfs with the drivers, and behind it the one that goes on with the disk."""
    path = os.path.join(str(directory), "start.gz")
    with open(path, "wb") as out:
        for part in (images.INITRD, images.MODULES, os.path.join(GUEST, "debian.gz")):
            with open(part, "rb") as file:
                out.write(file.read())
    return path


def section(name, disks, nets=(), cmdline="", vcpus=2):
    return virtio.section(name, disks, nets, vcpus=vcpus, memory="192M", cmdline="console=ttyS0 quiet " + cmdline)


def boot(machine, directory, image, sections, files=(), **options):
    modules = [(path, line) for path, line in vms.modules(directory, sections) if line != "initrd.gz"]
    return machine.keel(modules + [(starter(directory), "initrd.gz"), (image, "root.img")] + list(files), **options)


class System:
    """The shell of somebody who has logged in on the serial line of a VM."""
    commands = 0

    def __init__(self, keel, name="debian"):
        self.machine = keel.machine
        self.name = name

    def login(self):
        self.machine.send("root\r")
        self.machine.expect("root@debian:~# ", 60)
        return self

    def attach(self):
        """Has what is typed go to this VM."""
        self.machine.send("\x1d")
        self.machine.expect("keel> ")
        self.machine.send("console %s\r" % self.name)
        return self

    def run(self, command, timeout=60):
        System.commands += 1
        self.machine.send("%s; echo E''%d-$?.\r" % (command, System.commands))
        match = self.machine.expect(r"(?s)(.*)\bE%d-(\d+)\." % System.commands, timeout)
        assert match.group(2) == "0", "'%s' ended with status %s:\n%s" % (command, match.group(2), match.group(1))
        return "\n".join(line.replace(self.name + "|", "", 1).strip() for line in match.group(1).split("\n")[1:]).strip()


def work(system):
    """What an owner of a computer does with it."""
    assert "Pass 5" in system.run("fsck.ext4 -f -n /dev/vdb", 300)
    system.run("echo '%s' >t.c && tcc -o t t.c" % PROGRAM, 60)
    assert "compiled-42" in system.run("./t && echo")
    system.run("mkdir /opt/t && mount -t ext4 /dev/vdc /opt/t", 60)
    text = system.run("LD_LIBRARY_PATH=/opt/t/lib/x86_64-linux-gnu /opt/t/bin/fio %s --directory=/root" % JOBS, 900)
    assert "err= 0" in text


@pytest.mark.only("qemu-svm", "qemu-kvm", *(["bochs-vmx"] if LONG else []), why="it takes a quarter of an hour in Bochs: in `make soak` alone")
def test_login(kind, machine, tmp_path):
    """systemd on two vCPUs to a login; the whole disk's sum is the host's. In `make soak` also fsck, a compiler and fio."""
    image = os.path.join(GUEST, "debian.img")
    disks, files = ["root.img,cow=%s" % ("160M" if LONG else "32M"), "root.img,ro"], []
    if LONG:
        disks.append("tools.img,ro")
        files.append((os.path.join(GUEST, "tools.img"), "tools.img"))
    keel = boot(machine, tmp_path, image, [section("debian", disks)], files, cores=1 if LONG or kind.name == "bochs-vmx" else 2,
                counted=LONG, memory=1024 if LONG else 768, limit=3600 if LONG else 600)
    keel.machine.expect("debian login: ", 300)
    system = System(keel).login()
    assert system.run("nproc").split()[-1] == "2"
    assert system.run("systemctl is-system-running --wait; systemctl --failed --no-legend", 120).split()[-1] == "running"
    assert digest(image) in system.run("dd if=/dev/vdb bs=1M 2>/dev/null | md5sum", 200)
    if LONG:
        work(system)
    keel.machine.send("poweroff\r")
    assert keel.finish(120) == "clean"


# For systemd's own network configuration: what a port is to be, and what it is to do itself.
NETWORK = r"""printf '[Match]\nType=ether\n[Network]\nAddress=10.0.0.%d/24\n' >/etc/systemd/network/10-port.network"""
OFFLOADS = ("ReceiveChecksumOffload", "TransmitChecksumOffload", "TCPSegmentationOffload", "GenericSegmentationOffload",
            "GenericReceiveOffload")
LINK = r"""printf '[Match]\nType=ether\n[Link]\n%s' >/etc/systemd/network/10-port.link"""
SENT = "cat /sys/class/net/e*/statistics/tx_bytes /sys/class/net/e*/statistics/tx_packets | tr '\\n' ' '"


def offloads(system, state):
    system.run(LINK % "".join("%s=%s\\n" % (name, state) for name in OFFLOADS))
    system.run("udevadm control --reload; udevadm trigger -c add -w /sys/class/net/e*", 60)


def iperf(system, size):
    """Sends so many bytes; returns how many of them have arrived, and how large the frames were in the mean."""
    before = [int(n) for n in system.run(SENT).split()[-2:]]
    system.run("iperf3 -c 10.0.0.1 -n %d -J >/root/report" % size, 300)
    text = system.run("sed -n '/\"sum_received\"/,/}/p' /root/report | tr -d ' \\t\\n'; echo")
    after = [int(n) for n in system.run(SENT).split()[-2:]]
    arrived = re.search(r'"bytes":(\d+)', text)
    return int(arrived.group(1)), (after[0] - before[0]) / (after[1] - before[1])


@pytest.mark.skipif(not LONG, reason="minutes long: in `make soak` alone; test_net.py has the same kernel's drivers without a disk")
def test_two(kind, machine, tmp_path):
    """Two of them from one image, to a login each; and iperf3 between them with offloads on and off."""
    image = os.path.join(GUEST, "debian.img")
    sections = [section(name, ["root.img,cow=16M"], ["lan0"], vcpus=1) for name in ("one", "two")]
    keel = boot(machine, tmp_path, image, sections, counted=True, cores=1, memory=1024, limit=3600)
    for name in ("one", "two"):
        keel.machine.expect("(?:one|two)\\| debian login: ", 600)
    one, two = (System(keel, name).attach().login() for name in ("one", "two"))
    size = (12 if kind.name == "bochs-vmx" else 32) << 20
    for number, system in enumerate((one, two), 1):
        system.attach().run(NETWORK % number)
        system.run("systemctl start systemd-networkd && /lib/systemd/systemd-networkd-wait-online --timeout=100", 120)
    one.attach().run("iperf3 -s -D")
    long, large = iperf(two.attach(), size)
    for system in (one, two):
        offloads(system.attach(), "no")
    plain, small = iperf(two.attach(), size)
    print("frames of %d bytes with offloads, of %d without" % (large, small))
    assert long >= size * 0.9 and plain >= size * 0.9       # what is under way at the sender's end isn't counted
    assert large > 4 * 1514 and small < 1515
    for system in (one, two):
        system.attach().machine.send("poweroff\r")
        keel.event("vm", 120, name=system.name, state="stopped", reason="poweroff")
    assert keel.finish(60) == "clean"


@pytest.mark.only("bochs-vmx", why="the other boots more of a system")
def test_small_root(machine, tmp_path):
    """A root file system with nothing but busybox; the whole disk's sum is the host's."""
    tree, image = os.path.join(str(tmp_path), "tree"), os.path.join(str(tmp_path), "root.img")
    os.makedirs(tree)
    subprocess.run("gzip -dc '%s' | cpio -id --quiet" % images.INITRD, shell=True, cwd=tree, check=True)
    subprocess.run(["/sbin/mke2fs", "-q", "-t", "ext4", "-d", tree, image, "6M"], check=True)
    keel = boot(machine, tmp_path, image, [section("debian", ["root.img,cow", "root.img,ro"], cmdline="init=/init")], memory=512)
    keel.linux_up()
    assert " / ext4 " in keel.shell("cat /proc/mounts")
    assert digest(image) in keel.shell("dd if=/dev/vdb bs=64k 2>/dev/null | md5sum")
    assert keel.power_off() == "clean"
