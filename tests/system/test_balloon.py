"""Memory that a VM gives up at the monitor's wish and takes again, and who has it meanwhile."""
import random
import time

import pytest

import virtio
import vms
from monitor import Monitor

ROUNDS = {"svm": 25, "vmx": 8}
EATER = 60      # MiB of a VM that is there only when another has given memory up
BALLOON = {"cmdline": "balloon", "balloon": "yes", "rng": "yes", "memory": "16M"}


def await_line(keel, name, line, times):
    """Until a VM has said it so often, whether that was read already or not."""
    while vms.output(keel, name).count(line) < times:
        keel.machine.expect(r"\n", 60)


def test_payload(machine, tmp_path):
    """What it gives up is free for others, who come and go meanwhile; what it takes is blank; a reset gives it all that it had, and its
    end gives back what is left."""
    other = vms.vm("other", cmdline="exits=cpuid", autostart="no", memory="16M")
    keel = vms.boot(machine, tmp_path, [vms.vm("giver", **BALLOON), other], options="on_idle=monitor", counted=True, memory=128)
    monitor = Monitor(keel)
    keel.machine.expect("ok balloon.up", 60)
    monitor.enter()
    before = int(monitor.memory()["guest_free_mib"])
    monitor.ask("balloon giver 12M")
    for round in range(2):
        await_line(keel, "giver", "balloon given", round + 1)
        assert int(monitor.memory()["guest_free_mib"]) == before + 4
        rows = monitor.table("dev giver")
        assert any(row.get("gone_mib") == "4" and row.get("actual_kib") == "4096" for row in rows), rows
        assert monitor.table("audit")[-1]["result"] == "ok"
        if round == 0:
            monitor.ask("vm reset giver")
    monitor.machine.send("vm start other\r")
    monitor.vm("other", "stopped", reason="poweroff")
    monitor.ask("balloon giver 15M")
    monitor.ask("balloon giver 16M")
    monitor.vm("giver", "stopped", reason="poweroff")
    assert monitor.table("audit")[-1]["result"] == "ok"
    assert vms.failures(keel, "giver") == []
    monitor.ask("vm start giver")
    monitor.ask("balloon giver 12M")
    await_line(keel, "giver", "balloon given", 3)
    monitor.ask("vm stop giver")
    monitor.vm("giver", "stopped", reason="operator")
    assert int(monitor.memory()["guest_free_mib"]) == before + 20
    assert not keel.events("crash")


def stop(monitor, name):
    """Ends a VM that may come to its end by itself just now."""
    monitor.ask("vm stop " + name)
    give_up = time.monotonic() + monitor.machine.seconds(60)
    while monitor.state(name) != "stopped" and time.monotonic() < give_up:
        pass
    assert monitor.state(name) == "stopped"


def test_ends(kind, machine, tmp_path):
    """Resets, pauses and ends while memory goes and comes, by chance: all of it is there afterwards, and a neighbour goes on."""
    dice = random.Random(5)
    sections = [vms.vm("giver", **BALLOON), vms.vm("beat", cmdline="beat=5 for=1000000")]
    keel = vms.boot(machine, tmp_path, sections, options="on_idle=monitor", counted=True, memory=128)
    monitor = Monitor(keel)
    keel.machine.expect("ok balloon.up", 60)
    monitor.enter()
    before = int(monitor.memory()["guest_free_mib"])
    for _ in range(ROUNDS.get(kind.vendor, 25)):
        monitor.ask("balloon giver 12M")
        for _ in range(dice.randrange(4)):
            monitor.ask("dev giver")
        order = dice.choice(["reset", "pause", "stop", "balloon"])
        if order == "balloon":
            monitor.ask("balloon giver 16M")
        elif order != "stop":
            monitor.ask("vm %s giver" % order)
        else:
            stop(monitor, "giver")
            assert int(monitor.memory()["guest_free_mib"]) == before + 20      # its own and the balloon's two blocks
        if order == "pause":
            monitor.ask("vm resume giver")
        monitor.ask("vm start giver")       # if it has come to its end
        assert monitor.table("audit")[-1]["result"] == "ok"
    stop(monitor, "giver")
    assert int(monitor.memory()["guest_free_mib"]) == before + 20
    keel.machine.expect(r"beat\| beat n=", 60)
    while len(beats := vms.beats(keel, "beat")) <= 20:
        keel.machine.expect(r"beat\| beat n=", 60)
    assert max(beats) < 100000, beats
    assert not keel.events("crash") and not [line for line in vms.output(keel, "giver") if line.startswith("not ok")]


def holes(monitor, name):
    """What a VM's balloon says: MiB that are gone, of these reported, and how many blocks were touched."""
    for _ in range(100):
        rows = [row for row in monitor.table("dev " + name) if "reported_mib" in row]
        if rows:        # else another core was busy with it
            break
    row = rows[0]
    return int(row["gone_mib"]), int(row["reported_mib"]), int(row["touched"])


def test_reported(kind, machine, tmp_path):
    """Free memory that a guest reports is others' until it is touched, by whatever; without memory, a VM stands still until there is some."""
    sections = [vms.vm("holes", cmdline="holes smp=2", vcpus="2", balloon="yes", rng="yes", disk="ram:1M", memory="32M"),
                vms.vm("eater", cmdline="beat=1000 for=100000000", autostart="no", memory="%dM" % EATER),
                vms.vm("beat", cmdline="beat=5 for=1000000", memory="16M")]
    # Bochs doesn't say which virtual interrupt it was whose delivery met with missing memory.
    options = "on_idle=monitor disable=apicv" if kind.name.startswith("bochs") else "on_idle=monitor"
    keel = vms.boot(machine, tmp_path, sections, options=options, counted=True, memory=128)
    monitor = Monitor(keel)
    keel.machine.expect("ok holes.up", 60)
    monitor.enter()
    before = int(monitor.memory()["guest_free_mib"])
    monitor.ask("balloon holes 32764K")
    await_line(keel, "holes", "holes reported", 1)
    assert int(monitor.memory()["guest_free_mib"]) == before + 12
    assert holes(monitor, "holes") == (12, 12, 0)
    assert monitor.table("audit")[-1]["result"] == "ok"
    monitor.ask("balloon holes 32760K")
    await_line(keel, "holes", "holes reported", 2)
    assert holes(monitor, "holes")[:2] == (12, 12)
    assert int(monitor.memory()["guest_free_mib"]) == before + 12
    assert before < EATER <= before + 12, "choose another EATER"
    monitor.ask("vm start eater")
    monitor.ask("balloon holes 32756K")
    keel.machine.expect("vm=holes stands still", 60)
    assert monitor.table("audit")[-1]["result"] == "ok"
    assert "holes touched" not in vms.output(keel, "holes")
    stop(monitor, "eater")
    await_line(keel, "holes", "holes reported", 3)
    assert vms.output(keel, "holes").count("holes touched") == 1
    assert monitor.table("audit")[-1]["result"] == "ok"
    monitor.ask("vm reset holes")
    monitor.vm("holes", "restarting", reason="reset")
    monitor.vm("holes", "running")
    assert holes(monitor, "holes")[:2] == (0, 0)
    assert int(monitor.memory()["guest_free_mib"]) == before
    monitor.ask("balloon holes 32764K")
    await_line(keel, "holes", "holes reported", 4)
    assert holes(monitor, "holes")[:2] == (12, 12)
    monitor.ask("vm start eater")
    assert not keel.events("crash")
    monitor.ask("balloon holes 32704K")
    monitor.vm("holes", "crashed")
    assert [event["reason"] for event in keel.events("crash")] == ["a device needs memory that the guest gave up, and others have it all"]
    assert monitor.table("audit")[-1]["result"] == "ok"
    stop(monitor, "eater")
    assert int(monitor.memory()["guest_free_mib"]) == before + 32 + 4 + 2
    monitor.ask("vm start holes")
    monitor.vm("holes", "running")
    monitor.ask("balloon holes 32764K")
    await_line(keel, "holes", "holes reported", 5)
    monitor.ask("vm stop holes")
    monitor.vm("holes", "stopped", reason="operator")
    assert int(monitor.memory()["guest_free_mib"]) == before + 32 + 4 + 2
    assert not [line for line in vms.output(keel, "holes") if line.startswith("not ok")]
    beats = vms.beats(keel, "beat")
    assert len(beats) > 20 and max(beats) < 100000, beats


def figures(monitor):
    """(KiB that the driver says are in it, MiB of it that others may have, MiB free for that): what the guest reports comes and goes."""
    while True:
        gone, reported, _ = holes(monitor, "vm")
        free = int(monitor.memory()["guest_free_mib"])
        row = [row for row in monitor.table("dev vm") if "gone_mib" in row][0]
        if holes(monitor, "vm")[:2] == (gone, reported):
            return int(row["actual_kib"]), gone - reported, free - gone


@pytest.mark.only("qemu-svm", "qemu-kvm", why="the payload's test shows the same, and Linux takes its time in Bochs")
def test_linux(machine, tmp_path):
    """A stock kernel's driver puts in what is wanted, of which whole blocks go to others, and takes it all out again."""
    command = virtio.run(virtio.loading("virtio_balloon"), "echo loaded", "while true; do sleep 1; done")
    keel = virtio.boot(machine, tmp_path, [virtio.section("vm", balloon="yes", cmdline="console=ttyS0 quiet " + command)], memory=512)
    keel.machine.expect("loaded", 120)
    monitor = Monitor(keel).enter()
    before = figures(monitor)[2]
    for wanted, name in ((80, "112M"), (0, "192M")):
        monitor.ask("balloon vm " + name)
        give_up = time.monotonic() + 60
        while figures(monitor)[0] != wanted << 10 and time.monotonic() < give_up:
            pass
        actual, gone, free = figures(monitor)
        print("wanted=%d actual_kib=%d gone_mib=%d" % (wanted, actual, gone))
        assert actual == wanted << 10
        assert gone >= wanted // 2 if wanted else gone == 0
        assert free == before
        assert monitor.table("audit")[-1]["result"] == "ok"
    monitor.machine.send("vm stop vm\r")
    monitor.vm("vm", "stopped", reason="operator")
    assert not keel.events("crash")


@pytest.mark.only("qemu-svm", "qemu-kvm", why="the payload's test shows the same, and Linux takes its time in Bochs")
def test_linux_reports(machine, tmp_path):
    """What a large file leaves is others' soon, by the stock kernel's reports, and holds the next file's data when it is used again."""
    path, digest = virtio.image(tmp_path, "noise.img", 32 << 20)
    section = virtio.section("vm", disks=["noise.img,ro"], balloon="yes", vcpus="2", memory="256M")
    keel = virtio.boot(machine, tmp_path, [section], files=[(path, "noise.img")], memory=512)
    keel.linux_up()
    virtio.load(keel, "virtio_balloon")
    virtio.load(keel, "virtio_blk", bus=False)
    keel.shell("mkdir /files && mount -t tmpfs -o size=120M none /files && dd if=/dev/zero of=/files/big bs=64k count=1536", 60)
    monitor = Monitor(keel).enter()
    before = holes(monitor, "vm")[1]
    monitor.machine.send("console vm\r")
    monitor.machine.send("rm /files/big\r")
    monitor.enter()
    give_up = time.monotonic() + monitor.machine.seconds(60)
    while holes(monitor, "vm")[1] < before + 80 and time.monotonic() < give_up:
        pass
    gone, reported, touched = holes(monitor, "vm")
    print("before=%d reported=%d touched=%d" % (before, reported, touched))
    assert reported >= before + 80
    assert monitor.table("audit")[-1]["result"] == "ok"
    monitor.machine.send("console vm\r\r")
    assert keel.shell("sha256sum < /dev/vda", 60).split()[0] == digest
    assert keel.shell("cp /dev/vda /files/copy && sha256sum < /files/copy", 60).split()[0] == digest
    assert keel.shell("dmesg -r | grep -E '^<[0-4]>.*(virtio|balloon|BUG)'; true") == ""
    monitor.enter()
    assert holes(monitor, "vm")[2] > touched
    assert monitor.table("audit")[-1]["result"] == "ok"
    assert not keel.events("crash")
