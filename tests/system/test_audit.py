"""The audit (DESIGN 4): before the first start and on demand, while VMs work, come and go; and it finds what is planted."""
import images
import pytest
from monitor import Monitor, conf, modules


def boot(machine, tmp_path, options="", cores=1, **described):
    keel = machine.keel(modules(tmp_path / "keel.conf", conf("monitor", **described)), options, memory=256, cores=cores)
    keel.event("audit", 120)
    return Monitor(keel)


def test_refuses_to_start(machine):
    """With a VM's memory in the hypervisor's own map, Keel starts none."""
    keel = machine.keel(images.payload_modules("exits=cpuid"), "test=audit")
    keel.line("audit: host: maps guest memory for all VMs")
    assert keel.event("audit")["result"] == "failed"
    assert keel.finish() == "failed"
    assert not keel.events("vm")


def test_under_load(machine, tmp_path):
    """Two VMs take all there is of two cores, a third comes and goes, a fourth's memory is being scrubbed."""
    monitor = boot(machine, tmp_path, cores=2, hog={"cmdline": "hog=spin smp=2 for=1000000", "vcpus": "2"},
                   beat="beat=100 for=1000000", comes={"cmdline": "exits=cpuid", "autostart": "no"},
                   big={"cmdline": "fault=hang", "memory": "64M", "autostart": "no"})
    monitor.vm("beat", "running")
    monitor.enter()
    for _ in range(3):
        monitor.machine.send("vm start comes\rvm start big\r")
        monitor.vm("big", "running")
        monitor.machine.send("vm stop big\r")
        rows = monitor.table("audit")
        assert rows[-1]["result"] == "ok" and int(rows[-1]["vms"]) >= 2, rows
        monitor.vm("big", "stopped", reason="operator")
    while not monitor.keel.events("vm", name="comes", state="stopped", reason="poweroff"):
        monitor.machine.expect(r"\n", 30)
    assert {event["result"] for event in monitor.keel.events("audit")} == {"ok"}
    assert not monitor.keel.events("crash")


@pytest.mark.parametrize("what, told", [("shared", "maps another owner's memory"), ("pool", "maps what isn't guest memory")])
def test_finds_a_planted_fault(machine, tmp_path, what, told):
    """A frame that a VM mustn't have, while all VMs run; the sound VM isn't named."""
    monitor = boot(machine, tmp_path, "test=plant", one="fault=spin", two="beat=100 for=1000000")
    monitor.vm("two", "running")
    monitor.enter()
    assert monitor.table("audit")[-1]["result"] == "ok"
    monitor.machine.send("plant %s one\r" % what)
    while monitor.table("audit")[-1]["faults"] == "0":
        pass        # it is planted when the VM comes to rest for a moment
    assert monitor.table("audit")[-1] == {"result": "failed", "faults": "1", "vms": "2"}
    faults = [line for line in monitor.machine.output().replace("\r", "").split("\n") if "] audit: " in line]
    assert faults and all("audit: one nested: " + told + ": address 0x4000000000" in line for line in faults)
