"""What does nothing costs nothing: no periodic tick of the host's, and no exits of an idle guest but those of its own timer."""
import pytest
from monitor import Monitor, conf, modules

pytestmark = pytest.mark.cores_at_once

SECONDS = 100
# HLT, the timer's interrupt and EOI, the next deadline; what reads a clock by ports reads it some times more.
EXITS_A_WAKEUP = 8
WAKEUPS_A_SECOND = 12


def counters(keel, monitor, command):
    """What a command in the guest's shell costs: exits by kind, wake-ups, and the core's interrupts."""
    def look():
        monitor.enter()
        row = {key: int(value) for key, value in monitor.table("stats vm0")[0].items() if key != "vm"}
        row["host"] = int(monitor.table("cpus")[0]["interrupts"])
        keel.machine.send("\r")
        return row
    before = look()
    keel.shell(command)
    after = look()
    return {key: after[key] - before[key] for key in before}


def test_idle_guest(machine):
    """A hundred seconds of a stock kernel's time, less what typing costs."""
    keel = machine.linux(cmdline="console=ttyS0 quiet", counted=True)
    monitor = Monitor(keel)
    keel.shell("true")
    typing = counters(keel, monitor, "sleep 0.0")
    sleeping = counters(keel, monitor, "sleep %d" % SECONDS)
    cost = {key: sleeping[key] - typing[key] for key in typing}
    print("idle: %s in %d s" % ({key: count for key, count in cost.items() if count}, SECONDS))
    few = 100       # typing isn't always the same
    assert cost["wakeups"] <= WAKEUPS_A_SECOND * SECONDS
    assert cost["exits"] <= EXITS_A_WAKEUP * cost["wakeups"] + few
    # A LAPIC timer that counts can end a little early, and is set once more.
    assert cost["host"] <= 2 * cost["wakeups"] + few
    assert cost["run_us"] <= 0.01 * SECONDS * 1000000


def test_idle_core(machine, tmp_path):
    """A core that runs nothing takes no interrupt while two seconds pass on another."""
    text = conf("monitor", beat={"cmdline": "beat=100 for=100000000", "cpus": 0})
    keel = machine.keel(modules(tmp_path / "keel.conf", text), cores=2)
    monitor = Monitor(keel)
    keel.machine.expect(r"beat n=3 ", 60)
    monitor.enter()
    before = monitor.table("cpus")[1]
    keel.machine.expect(r"beat n=23 ", 60)
    assert monitor.table("cpus")[1] == before
