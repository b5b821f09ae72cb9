"""The lives of VMs: started, paused, reset, stopped, made again; policies; what the others notice of it (DESIGN 6)."""
import re

import pytest
from keel import vm_output
from monitor import Monitor, conf, modules
from vms import boot, vm

pytestmark = pytest.mark.cores_at_once

FOREVER = "beat=100 for=100000000"


@pytest.fixture
def vms(machine, tmp_path):
    """Starts a machine with these VMs."""
    def start(on_idle="monitor", cores=1, options="", memory=256, counted=False, **described):
        keel = machine.keel(modules(tmp_path / "keel.conf", conf(on_idle, **described)), options, memory=memory,
                            cores=cores, counted=counted)
        keel.event("audit", 120)
        return Monitor(keel)
    return start


def beats(monitor, name):
    """The numbers of a VM's heartbeats up to now, which must be without a gap since its start."""
    text = "\n".join(vm_output(monitor.machine.output(), name)).split("first-instruction")[-1]
    numbers = [int(number) for number in re.findall(r"^beat n=(\d+) ", text, re.M)]
    # A line in which others came in between is shown twice: what there was of it, then the whole.
    numbers = [number for at, number in enumerate(numbers) if numbers[at - 1:at] != [number]]
    assert numbers == list(range(1, len(numbers) + 1))
    return len(numbers)


def wait_beats(monitor, name, count):
    """Waits for so many more."""
    begin = beats(monitor, name)
    while beats(monitor, name) < begin + count:
        monitor.machine.expect(r"%s\| beat [^\n]*\n" % name, 30)


def test_rounds(vms):
    """Start and stop a thousand times: pool and guest memory are where they were."""
    monitor = vms(a={"cmdline": "fault=hang", "memory": "10M", "autostart": "no"})
    monitor.event("idle")
    monitor.machine.expect("keel> ")
    before = monitor.memory()
    for _ in range(1000):
        monitor.machine.send("vm start a\rvm stop a\r")
        monitor.keel.event("vm", name="a", state="stopped", reason="operator", status="0")
    assert monitor.memory() == before
    assert monitor.table("vm list")[0] == {"vm": "a", "state": "stopped", "vcpus": "1", "memory_mib": "10", "pool_kib": "0"}


def test_no_byte_is_left(vms, kind):
    """Whatever way a VM ends, no later one finds anything of it: it gets some of the same memory, and that is empty."""
    qemu = kind.vendor == "svm"
    memory = 160 if qemu else 32
    keys = {"memory": "%dM" % memory, "autostart": "no"}
    ends = {"off": ("", "stopped", "poweroff"), "dead": ("fault=triple", "crashed", "crash"),
            "shot": ("fault=spin", "stopped", "killed")}
    writers = {name: {"cmdline": "pattern=write " + end[0], **keys} for name, end in ends.items()}
    monitor = vms(memory=256 if qemu else 80, reader={"cmdline": "pattern=search", **keys}, **writers)
    monitor.event("idle")
    monitor.machine.expect("keel> ")
    assert int(monitor.memory()["guest_mib"]) < 2 * memory
    for name, (_, state, reason) in ends.items():
        monitor.machine.send("vm start %s\r" % name)
        written, found = monitor.machine.expect(name + r"\| pattern words=(\d+) found=(\d+)\r?\n").groups()
        assert written == found and int(written) * 8 > (memory - 2) << 20
        if reason == "killed":
            monitor.machine.send("vm kill %s\r" % name)
        monitor.vm(name, state, reason=reason)
        monitor.machine.send("vm start reader\r")
        found, used = map(int, monitor.machine.expect(r"reader\| pattern found=(\d+) used=(\d+)\r?\n").groups())
        assert found == 0
        assert used * 8 < 64 << 10      # the loader's page tables, the zero page, a GDT
        monitor.vm("reader", "stopped")


def test_scrubbing_holds_up_nobody(vms, kind):
    """Half a gigabyte is scrubbed on a core where another VM's heart beats on."""
    qemu = kind.vendor == "svm"
    beat, megabytes = (2, 512) if qemu else (50, 192)       # a line takes Bochs' machine 5 ms
    monitor = vms("poweroff", memory=1024, counted=True, big={"cmdline": "fault=reset after=20", "on_reboot": "stop",
                                                              "memory": "%dM" % megabytes}, b="beat=%d for=1000" % beat)
    assert monitor.keel.finish(120) == "clean"
    ended = monitor.keel.events("exit-stats", vm="big")[0]["seconds"]
    clean = monitor.keel.events("vm", name="big", state="stopped")[0]["seconds"]
    assert clean - ended > 0.05
    assert monitor.keel.events("vm", name="b", state="stopped")[0]["seconds"] > clean
    late = [int(us) for us in re.findall(r"^beat n=\d+ late_us=(\d+)$",
                                         "\n".join(vm_output(monitor.machine.output(), "b")), re.M)]
    assert max(late) < (1000 if qemu else 15000), (ended, clean, late)


def test_copying_holds_up_nobody(kind, machine, tmp_path):
    """A large initrd is copied when its VM starts, and again when it is reset, on a core where another VM's heart beats on."""
    qemu = kind.vendor == "svm"
    file, megabytes, beat = tmp_path / "large", 32, 10 if qemu else 50
    file.write_bytes(bytes(range(256)) * (megabytes << 12))
    sections = ["[keel]\non_idle = monitor\n", vm("beat", cmdline="beat=%d for=100000000" % beat),
                vm("big", cmdline="fault=spin", initrd="initrd.gz", memory="96M", autostart="no")]
    keel = boot(machine, tmp_path, sections, {"initrd.gz": str(file)}, memory=256, counted=True, shift=2)
    keel.machine.expect(r"beat\| beat n=3 ", 60)
    monitor = Monitor(keel).enter()
    for order in ("vm start big", "vm reset big"):
        monitor.ask(order)
        monitor.vm("big", "running")
        monitor.machine.expect(r"big\| fault spin")
    monitor.ask("vm reset big")
    monitor.vm("big", "restarting")
    monitor.ask("vm stop big")      # before the copy is done, if the host isn't slow
    monitor.vm("big", "stopped", reason="operator", status="0")
    for _ in range(3):
        monitor.machine.expect(r"beat\| beat [^\n]*\n")
    assert monitor.table("audit")[-1]["result"] == "ok"
    late = [int(us) for us in re.findall(r"beat\| beat n=\d+ late_us=(\d+)", monitor.machine.output())]
    # At one go the copy takes 10 ms on QEMU. What has just started may run for SCHED_CREDIT and SCHED_GRAIN, 4 ms, before it.
    assert max(late) < (5000 if qemu else 15000), late


def test_start_while_ending(vms):
    """A start that comes before a VM's memory is clean waits for that; a stop takes it back."""
    monitor = vms(held={"cmdline": "fault=triple", "on_crash": "hold", "memory": "64M"}, b=FOREVER)
    monitor.vm("held", "crashed")
    monitor.enter()
    for _ in range(2):
        monitor.machine.send("vm start held\r")
        monitor.vm("held", "stopped", reason="operator", status="0")
        monitor.vm("held", "running")
        monitor.vm("held", "crashed")
    monitor.machine.send("vm start held\rvm stop held\r")
    monitor.vm("held", "stopped", reason="operator")
    wait_beats(monitor, "b", 2)
    assert monitor.state("held") == "stopped"
    monitor.ask("vm kill b")
    monitor.event("idle", status="1")


def test_started_again(vms):
    """A VM that ended by itself runs again from its modules, as often as one likes."""
    monitor = vms(a="exits=cpuid")
    for number in range(3):
        monitor.vm("a", "stopped", reason="poweroff", status="0")
        assert monitor.machine.output().count("first-instruction") == number + 1
        if number == 0:
            monitor.machine.expect("keel> ")
        monitor.machine.send("vm start a\r")
        monitor.vm("a", "running")


def test_others_go_on(vms):
    """One VM is paused, resumed, reset, killed and started; the other one doesn't miss a beat, and the first no time."""
    monitor = vms(a=FOREVER, b=FOREVER, cores=2)
    wait_beats(monitor, "b", 2)
    wait_beats(monitor, "a", 2)
    monitor.enter()
    monitor.ask("vm pause a")
    monitor.vm("a", "paused")
    still = beats(monitor, "a")
    wait_beats(monitor, "b", 4)
    assert beats(monitor, "a") == still
    monitor.ask("vm resume a")
    monitor.vm("a", "running")
    wait_beats(monitor, "a", 2)
    monitor.ask("vm reset a")
    monitor.vm("a", "restarting", reason="reset")
    monitor.vm("a", "running")
    wait_beats(monitor, "b", 2)
    monitor.ask("vm kill a")
    monitor.vm("a", "stopped", reason="killed", status="1")
    wait_beats(monitor, "b", 2)
    monitor.ask("vm start a")
    monitor.vm("a", "running")
    wait_beats(monitor, "b", 2)
    wait_beats(monitor, "a", 2)
    assert monitor.table("audit")[-1]["result"] == "ok"
    assert "vm=b" not in "".join(re.findall(r"event=(?:crash|exit-stats)[^\n]*", monitor.machine.output()))


def test_pause_is_no_time(vms):
    """A paused VM's clock stands still: no beat is late when it goes on."""
    monitor = vms(a=FOREVER, b=FOREVER)
    wait_beats(monitor, "a", 1)
    monitor.enter()
    monitor.ask("vm pause a")
    monitor.vm("a", "paused")
    wait_beats(monitor, "b", 10)
    monitor.ask("vm resume a")
    wait_beats(monitor, "a", 2)
    late = [int(us) for us in re.findall(r"a\| beat n=\d+ late_us=(\d+)", monitor.machine.output())]
    assert max(late) < 900000


def test_stop_paused(vms):
    """A paused VM can be reset and stopped."""
    monitor = vms(a=FOREVER)
    monitor.enter()
    for order, state in (("reset", "running"), ("stop", "stopped")):
        monitor.ask("vm pause a")
        monitor.vm("a", "paused")
        monitor.ask("vm %s a" % order)
        monitor.vm("a", state)
    monitor.event("idle", status="0")


def test_crash_policies(vms):
    """on_crash: stop and hold end a VM, hold keeps it to look at; restart goes on, with a second between two starts."""
    monitor = vms(s={"cmdline": "fault=triple", "on_crash": "stop"},
                  h={"cmdline": "fault=triple", "on_crash": "hold"},
                  r={"cmdline": "fault=triple", "on_crash": "restart"}, b=FOREVER)
    ends = {}
    while len(ends) < 3:
        event = monitor.event("vm", name=["s", "h", "r"], state=["crashed", "restarting"], reason="crash", status="1")
        ends.setdefault(event["name"], event["state"])
    assert ends == {"s": "crashed", "h": "crashed", "r": "restarting"}
    monitor.vm("r", "running")
    monitor.vm("r", "restarting")
    monitor.vm("r", "running")
    starts = [event["seconds"] for event in monitor.keel.events("vm", name="r", state="running")]
    assert all(later - earlier >= 0.99 for earlier, later in zip(starts, starts[1:]))
    monitor.enter()
    rows = {row["vm"]: row for row in monitor.table("vm list")}
    assert rows["h"]["state"] == "crashed" and rows["h"]["pool_kib"] != "0"
    assert rows["s"]["state"] == "crashed" and rows["s"]["pool_kib"] == "0"
    assert "rip" in monitor.look("regs h")[0]
    monitor.ask("vm stop h")
    monitor.vm("h", "stopped")
    assert {row["vm"]: row for row in monitor.table("vm list")}["h"]["pool_kib"] == "0"
    monitor.ask("vm stop r")
    monitor.vm("r", ["stopped", "crashed"])     # the order can come while its crash is still being reported
    wait_beats(monitor, "b", 3)


def test_reboot_policies(vms):
    monitor = vms(s={"cmdline": "fault=reset", "on_reboot": "stop"}, r={"cmdline": "fault=reset"})
    ends = {}
    while len(ends) < 2:
        event = monitor.event("vm", name=["s", "r"], state=["stopped", "restarting"], reason="reboot", status="0")
        ends.setdefault(event["name"], event["state"])
    assert ends == {"s": "stopped", "r": "restarting"}
    monitor.vm("r", "running")


def test_autostart(vms):
    """A VM without autostart is planned, and waits for its start."""
    monitor = vms(a=FOREVER, off={"cmdline": "exits=cpuid", "autostart": "no"})
    assert monitor.event("plan", vm="off")
    wait_beats(monitor, "a", 1)
    assert not monitor.keel.events("vm", name="off")
    monitor.enter()
    assert monitor.state("off") == "created"
    monitor.ask("vm start off")
    monitor.vm("off", "stopped", reason="poweroff")


@pytest.mark.parametrize("cmdline, outcome", [("exits=cpuid", "clean"), ("fault=triple", "failed")])
def test_idle_power_off(vms, cmdline, outcome):
    assert vms("poweroff", a=cmdline).keel.finish(120) == outcome


def test_idle_monitor(vms):
    monitor = vms("monitor", a="exits=cpuid")
    monitor.event("idle", status="0")
    monitor.machine.expect("keel> ")
    assert monitor.state("a") == "stopped"


def test_idle_halt(vms):
    """The machine stays on, and its monitor can be called."""
    monitor = vms("halt", a="exits=cpuid")
    monitor.event("idle", status="0")
    monitor.enter()
    assert monitor.state("a") == "stopped"


def test_idle_reboot(vms):
    vms("reboot", a="exits=cpuid").keel.event("poweroff", reason="reboot")


def test_debug_exit(vms):
    """The test exit port stops a VM with a status, if the VM has it."""
    monitor = vms("poweroff", a={"cmdline": "fault=exit", "debug_exit": "yes"}, b="fault=exit")
    monitor.vm("a", "stopped", reason="exit", status="7")
    monitor.vm("b", "stopped", reason="poweroff")
    assert any("fault.survived" in line for line in vm_output(monitor.machine.output(), "b"))
    assert monitor.keel.finish() == "failed"


def test_flood(vms):
    """A VM that writes without a pause costs the other one neither lines nor time; each line is one VM's."""
    monitor = vms(a="exits", b=FOREVER, c="exits", cores=2)
    for _ in "ac":      # in any order
        monitor.vm(["a", "c"], "stopped", 120)
    wait_beats(monitor, "b", 2)
    text = monitor.machine.output().replace("\r", "")
    lines = text[text.index("event=audit"):].split("\n")[1:-1]
    assert [line for line in lines if not re.match(r"keel\[|[abc]\| ", line)] == []
    for name in "ac":
        output = vm_output(text, name)
        passed = int(re.search(r"payload: (\d+) passed", "\n".join(output)).group(1))
        told = [(line, after) for line, after in zip(output, output[1:]) if line.startswith("ok ")]
        # An unfinished line that had been shown is written again as a whole when it goes on.
        again = sum(after.startswith(line) for line, after in told)
        assert passed <= len(told) <= passed + again
