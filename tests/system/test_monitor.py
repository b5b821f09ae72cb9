"""The monitor: what it lists and shows, how it is typed at, and that a program can read it."""
import re

import pytest
from monitor import Monitor, PAYLOAD, conf, modules, pairs

DEVICES = {"disk": "ram:1M", "net": "lan0,mac=52:54:00:12:34:56", "rng": "yes", "virtio_console": "yes", "balloon": "yes"}
VMS = dict(spinner="fault=spin", idler={"cmdline": "fault=hang", **DEVICES},
           off={"cmdline": 'fault=spin say="two words"', "autostart": "no", "weight": "512", "cap": "50", "watchdog": "60"})


@pytest.fixture(scope="module")
def monitor(module_machine, tmp_path_factory):
    path = tmp_path_factory.mktemp("conf") / "keel.conf"
    keel = module_machine.keel(modules(path, conf("monitor", **VMS)), memory=256)
    keel.event("vm", 120, name="idler", state="running")
    keel.machine.expect(r"idler\| fault hang")
    return Monitor(keel).enter()


def test_list(monitor):
    rows = {row["vm"]: row for row in monitor.table("vm list")}
    assert {name: row["state"] for name, row in rows.items()} == {
        "spinner": "running", "idler": "running", "off": "created"}
    assert rows["spinner"]["vcpus"] == "1" and rows["spinner"]["memory_mib"] == "16"
    assert int(rows["spinner"]["pool_kib"]) > 0 and rows["off"]["pool_kib"] == "0"


def test_info(monitor):
    row = pairs(" ".join(monitor.ask("vm info off")))
    assert (row["weight"], row["cap"], row["watchdog"], row["autostart"]) == ("512", "50", "60", "no")
    assert row["cmdline"].startswith("fault=spin ") and "pool_kib" not in row


def test_info_of_what_runs(monitor):
    """What a VM holds of the pool adds up, and is what the list says; its start took some time."""
    row = pairs(" ".join(monitor.ask("vm info spinner")))
    pool = {key: int(row[key + "_kib"]) for key in ("pool", "board", "tables", "vcpus", "vcpu")}
    assert pool["vcpus"] == int(row["vcpus"]) * pool["vcpu"]
    assert min(pool.values()) > 0 and pool["board"] + pool["tables"] + pool["vcpus"] < pool["pool"] <= 512
    assert {row["vm"]: row["pool_kib"] for row in monitor.table("vm list")}["spinner"] == str(pool["pool"])
    assert 0 < int(row["copy_ticks"]) < int(row["made_to_reset_ticks"]) * 100


def test_devices(monitor):
    """Each device, in its slot, as nobody has touched it yet."""
    rows = monitor.table("dev idler")
    assert [row["kind"] for row in rows if "kind" in row] == ["virtio-blk", "virtio-net", "virtio-console", "virtio-rng",
                                                                "virtio-balloon", "hpet"]
    assert [row["slot"] for row in rows if "slot" in row and "kind" in row] == ["2", "3", "4", "5", "6"]
    assert {row["status"] for row in rows if "status" in row} == {"0x00"}
    count, disk, net, balloon = [row for row in rows if "kind" not in row]
    assert count["devices"] == "5"
    assert (balloon["target_kib"], balloon["actual_kib"], balloon["gone_mib"]) == ("0", "0", "0")
    assert (disk["disk"], disk["bytes"], disk["read_only"], disk["reads"]) == ("ram", "1048576", "no", "0")
    assert (net["mac"], net["received"], net["dropped"]) == ("52:54:00:12:34:56", "0", "0")
    assert monitor.ask("dev spinner") == [
        "vm=spinner devices=0", "vm=spinner kind=hpet counter=halted legacy=no timers=none,none,none interrupts=0"]


def test_balloon(monitor):
    """What is wanted of one is shown, and what is wrong is said."""
    assert monitor.table("balloon idler 12M")[0]["target_kib"] == monitor.table("balloon idler")[0]["target_kib"] == "4096"
    assert monitor.table("balloon idler 1G")[0]["target_kib"] == "0"
    assert monitor.ask("balloon spinner 12M") == ["vm=spinner error=no-balloon"]
    assert monitor.ask("balloon idler much")[0].startswith("usage: balloon")
    assert monitor.ask("balloon nobody") == ["there is no VM named nobody"]


def test_limits(monitor):
    """Disks and ports, of one VM or of all; limits and cables can be changed, and what is wrong is said."""
    assert monitor.ask("disk") == monitor.ask("disk idler") == monitor.ask("disk idler 0")
    assert monitor.ask("net") == monitor.ask("net idler") and monitor.ask("net spinner") == []
    row, = monitor.table("disk idler iops=100 bps=10M")
    assert (row["vm"], row["index"], row["iops"], row["bps"]) == ("idler", "0", "100", "10485760")
    row, = monitor.table("disk idler 0 iops=0")
    assert (row["iops"], row["bps"]) == ("0", "10485760")
    row, = monitor.table("net idler 0 fps=5")
    assert (row["net"], row["link"], row["fps"], row["bps"]) == ("lan0", "up", "5", "0")
    assert monitor.table("net idler link down")[0]["link"] == "down"
    assert monitor.table("net idler")[0]["link"] == "down"
    assert monitor.table("net idler 0 link up")[0]["link"] == "up"
    assert monitor.table("disk idler 1 iops=1") == [{"vm": "idler", "index": "1", "error": "not-there"}]
    assert monitor.table("disk off iops=1")[0]["error"] == "not-there"
    for wrong in ("disk idler fps=1", "disk idler iops=fast", "disk idler link up", "disk idler iops=1 iops=2",
                  "net idler link", "net idler link sideways", "net idler bps=2000G", "net idler 0 0"):
        assert monitor.ask(wrong)[0].startswith("usage: "), wrong


def test_help(monitor):
    """Every command that help lists, typed with too many words (or too few), answers with its usage."""
    lines = [line for line in monitor.ask("help") if not line.startswith(("an empty line", "Tab "))]
    names = {re.match(r"(?:vm )?[a-z]+", line).group() for line in lines}
    assert names >= {"help", "vm list", "vm info", "vm start", "vm stop", "vm pause", "vm resume", "vm reset", "vm kill",
                     "console", "stats", "top", "balloon", "dev", "disk", "net", "regs", "mem", "walk", "trace", "cpus", "memory", "cap", "audit", "log",
                     "poweroff", "reboot"}
    for name in names:
        words = "" if name == "kv" else " 1 2 3 4 5"
        assert monitor.ask(name + words)[0].startswith("usage: " + name), name


def test_locks(monitor):
    """Each lock that many use, with what waiting for it took; one that nobody waited for took nothing."""
    rows = monitor.program("locks")[:-1]
    assert {row["lock"] for row in rows} == {"scheduler", "console", "console-input", "log", "pool", "guest-memory", "host-map", "timers", "devices"}
    assert [row["vm"] for row in rows if row["lock"] == "devices"] == ["spinner", "idler"]
    assert all(int(row["waits"]) or not int(row["spins"]) for row in rows)


def test_bad_input(monitor):
    assert monitor.ask("frobnicate") == ["there is no command frobnicate; try help"]
    assert monitor.ask("vm start nobody") == ["there is no VM named nobody"]
    assert monitor.ask("mem spinner here") == ["usage: mem NAME GPA [LENGTH]"]
    assert monitor.ask("mem spinner 0 5000") == ["usage: mem NAME GPA [LENGTH]"]
    assert monitor.ask("walk spinner") == ["usage: walk NAME GVA [VCPU]"]
    assert monitor.ask("log loud")[0].startswith("usage: log ")
    assert "usage: vm start NAME" in monitor.ask("vm")
    assert pairs(monitor.ask("vm resume spinner")[0])["error"] == "not-in-this-state"
    assert pairs(monitor.ask("regs off")[0])["error"] == "not-there"


def test_editing(monitor):
    """Keys of a plain terminal: cursor, deletion, history, completion."""
    assert monitor.ask("mem\x7f\x7f\x7fxpus\x1b[D\x1b[D\x1b[D\x08c\x05")[0].startswith("cpu=0")
    assert monitor.ask("rubbish\x15cpus\x01\x04c")[0].startswith("cpu=0")
    monitor.ask("cpus")
    assert monitor.ask("\x1b[A\x1b[A")[0].startswith("cpu=0")       # past the mark of the last answer
    assert "usage: vm start NAME" in monitor.ask("vm st\t")
    assert pairs(monitor.ask("vm inf\tspi\t")[0])["vm"] == "spinner"
    assert monitor.ask("thrown away\x03cpus")[0].startswith("cpu=0")


def test_look_at_running(monitor):
    """Registers, memory and tables of a VM that runs; it goes on afterwards."""
    regs = monitor.look("regs spinner")
    assert len(regs) == 16 and regs[0]["state"] == "running" and regs[-1]["seg"] == "idtr"
    rip = regs[0]["rip"]
    with open(PAYLOAD, "rb") as file:
        image = file.read()[0x400:]
    rows = monitor.look("mem spinner 1M 40")
    assert [row["gpa"] for row in rows] == ["0x100000", "0x100010", "0x100020"]
    assert bytes.fromhex("".join(row["bytes"] for row in rows)) == image[:40]
    assert monitor.look("walk spinner " + rip) == [
        {"vm": "spinner", "vcpu": "0", "gva": rip, "gpa": rip, "page": "0x200000"}]
    assert monitor.look("walk spinner 0x8000000000000000")[0]["error"] == "not-canonical"
    assert monitor.look("walk spinner 0 1")[0]["error"] == "no-such-vcpu"
    assert monitor.look("mem spinner 0xc0000000") == [{"vm": "spinner", "gpa": "0xc0000000", "error": "no-memory"}]
    assert len(monitor.look("trace spinner")) == 64
    assert monitor.state("spinner") == "running"


def test_top(monitor):
    """The spinner gets what there is, the idler nothing."""
    monitor.ask("top")
    for _ in range(20):
        monitor.ask("cpus")
    shares = {row["vm"]: float(row["cpu_percent"]) for row in monitor.table("top") if "vm" in row}
    assert shares["spinner"] > 50 and shares["idler"] < 5


def test_look_at_paused(monitor):
    monitor.ask("vm pause spinner")
    monitor.vm("spinner", "paused")
    assert monitor.look("regs spinner") == monitor.look("regs spinner")
    before = monitor.table("stats spinner")[0]["run_us"]
    assert monitor.table("stats spinner")[0]["run_us"] == before
    monitor.ask("vm resume spinner")
    monitor.vm("spinner", "running")


def test_stats(monitor):
    """The exits by kind and the others make up the whole, for a VM that does nothing any more."""
    row = {key: int(value) for key, value in monitor.table("stats idler")[0].items() if key != "vm"}
    kinds = [key for key in row if key not in ("vcpu", "run_us", "interrupts", "calls", "wakeups", "exits")]
    assert len(kinds) > 10 and row["hlt"] >= 1 and row["port"] > 50 and row["run_us"] > 0
    assert sum(row[kind] for kind in kinds) == row["exits"]
    console = monitor.table("stats idler")[1]
    assert int(console["console_bytes"]) > 20 and console["console_dropped"] == "0"
    assert {row["vm"] for row in monitor.table("stats")} == {"spinner", "idler", "off"}


def test_machine(monitor):
    memory = monitor.memory()
    assert 0 < int(memory["guest_free_mib"]) < int(memory["guest_mib"])
    assert 0 < int(memory["pool_free_kib"]) < int(memory["pool_kib"])
    assert monitor.table("cpus")[0]["cpu"] == "0"
    assert monitor.table("audit")[-1] == {"result": "ok", "faults": "0", "vms": "2"}
    assert all(re.fullmatch(r"\w+=[01]", line) for line in monitor.ask("cap"))
    assert any("event=boot" in line for line in monitor.ask("log"))
    assert monitor.ask("log warn") == ["log=warn"] and monitor.ask("log info") == ["log=info"]


# What has to follow a command's name; the VM `off` is for orders, in this order.
GOOD = {"balloon": "idler", "disk": None, "net": None, "console": None, "kv": None, "poweroff": None, "quit": None, "reboot": None,
        "mem": "spinner 1M 40", "walk": "spinner 0x100000", "log": "", "tracing dump": None}
ORDERS = [("start", "running"), ("pause", "paused"), ("resume", "running"), ("reset", "running"), ("stop", "stopped"),
          ("start", "running"), ("kill", "stopped")]


def test_for_programs(monitor):
    """Each command answers in pairs alone: to good input, to too many words, and to a VM that isn't there."""
    rows = {row["command"]: row["usage"] for row in monitor.program("help")[:-1]}
    assert len(rows) > 20
    for name, usage in rows.items():
        if usage.startswith("NAME"):
            answer = monitor.program(name + " nobody" + (" 0" if name in ("mem", "walk") else ""))
            assert answer == [{"error": "no-such-vm", "vm": "nobody"}, {"end": name}], name
        assert monitor.program(name + " 1 2 3 4 5") == [{"error": "usage", "usage": name + " " + usage}, {"end": name}]
        argument = GOOD.get(name, "spinner" if usage.startswith(("NAME", "[NAME")) else "")
        if argument is not None and name not in ["vm " + order for order, _ in ORDERS]:
            answer = monitor.program("%s %s" % (name, argument))
            assert len(answer) > 1 and answer[-1]["end"] == name and "error" not in answer[0], name
    assert monitor.program("frob") == [{"error": "no-such-command", "command": "frob"}, {"end": "none"}]
    assert monitor.program("tracing on")[0]["tracing"] == "on" and monitor.program("tracing dump")[0]["trace"] == "machine"
    assert monitor.program("tracing off") == [{"tracing": "off"}, {"end": "tracing off"}]
    assert monitor.program("log warn") == [{"log": "warn"}, {"end": "log"}]
    assert monitor.program("log info")[-1] == {"end": "log"}
    assert monitor.program("vm info off")[1]["cmdline"] == 'fault=spin say="two words"'
    monitor.seen = len(monitor.keel.events())
    for order, state in ORDERS:
        assert monitor.program("vm %s off" % order) == [{"end": "vm " + order}]
        monitor.vm("off", state)
    assert monitor.program("vm resume off")[0]["error"] == "not-in-this-state"
    assert monitor.program("regs off") == [{"vm": "off", "error": "not-there", "state": "stopped"}, {"end": "regs"}]


def test_console(monitor):
    """Ctrl-] comes back from a VM's console; an empty line goes there, too."""
    monitor.machine.send("console idler\r")
    monitor.enter()
    monitor.machine.send("\r")
    monitor.enter()
    assert monitor.state("idler") == "running"


def test_power_off(monitor):
    monitor.machine.send("poweroff\r")
    assert monitor.keel.finish() == "clean"


def test_reboot(machine, tmp_path):
    keel = machine.keel(modules(tmp_path / "keel.conf", conf(a="fault=spin")), memory=256)
    keel.event("vm", 120, state="running")
    Monitor(keel).enter()
    keel.machine.send("reboot\r")
    keel.event("poweroff", reason="reboot")
