"""The serial stream (DESIGN 7) while a VM writes as fast as it can: in line mode and in focus mode, and at the prompt."""
import fcntl
import re
import struct
import termios
import time

import pytest
from backends.machine import MachineError
from judging.stream import Stream
from monitor import Monitor, conf, modules
from tables import lapic, madt
from test_crash import LATE_US

FLOOD = "flood %d of lines that nobody waits for"
FLOOD_LINE = re.compile(r"flood (\d+) of lines that nobody waits for")
ENDLESS = 100000000


def unread(machine):
    return struct.unpack("i", fcntl.ioctl(machine.serial.fileno(), termios.FIONREAD, b"\0" * 4))[0]


def stall(machine):
    """Reads nothing until the machine seems to write no more."""
    before, now = -1, 0
    while now == 0 or before != now:
        before = now
        time.sleep(0.5)
        now = unread(machine)


def lose_output(kind, keel):
    """A port like a real one is slower than the VM. QEMU's takes all there is at once, as long as somebody reads it."""
    for _ in range(20):
        if not kind.name.startswith("bochs"):
            stall(keel.machine)
        try:
            return keel.event("drop", 5)
        except MachineError:
            pass
    raise MachineError("nothing is lost:\n" + keel.machine.tail())


def lines_of(text):
    stream = Stream()
    return stream.feed(text.encode()) + stream.end()


def prefix_of_flood(text):
    match = re.match(r"flood (\d+)", text)
    return "flood ".startswith(text) or bool(match and (FLOOD % int(match[1])).startswith(text))


def late(text, name=""):
    """By how many us each heartbeat was late, by its number."""
    return {int(number): int(us) for number, us in
            re.findall(r"^%sbeat n=(\d+) late_us=(\d+)\r?\n" % re.escape(name), text, re.M)}


@pytest.fixture
def loud(kind, machine, tmp_path):
    """A VM that doesn't wait for its transmitter, and one whose heart beats, on one core; output has been lost already."""
    keel = machine.keel(modules(tmp_path / "keel.conf", conf("monitor", loud="hog=flood for=%d" % ENDLESS,
                                                             beat="beat=20 for=%d" % ENDLESS)), memory=256, backlog=4096)
    keel.event("vm", 120, name="beat", state="running")
    assert lose_output(kind, keel) == {"event": "drop", "vm": "loud"}
    return Monitor(keel)


def wait_beats(machine, count, name="beat| "):
    for _ in range(count):
        machine.expect(re.escape(name) + r"beat n=\d+ late_us=\d+\r?\n", 60)


def console_stats(monitor, name):
    """The second half of a VM's stats."""
    return {key: int(value) for key, value in monitor.program("stats " + name)[-2].items() if key != "vm"}


def test_line_mode(kind, loud):
    """No line is torn or mixed, none of the other one's is missing, and what is lost is counted."""
    wait_beats(loud.machine, 12)
    loud.enter()
    first = console_stats(loud, "loud")
    assert 0 < first["console_dropped"] < first["console_bytes"] and first["console_dropped_lines"] > 0
    assert first["console_waiting"] <= 4096
    assert console_stats(loud, "beat")["console_dropped"] == 0
    wait_beats(loud.machine, 2)
    if kind.name.startswith("bochs"):
        assert console_stats(loud, "loud")["console_dropped"] > first["console_dropped"]
    text = loud.machine.output()
    lines = lines_of(text[text.index("event=vm name=beat state=running"):].split("\n", 1)[1])
    whole = [line.whole for line in lines[:-1]]
    assert [line for line in whole if not re.match(r"keel\[[0-9.]+\] |keel[|>] |loud\| |beat\| ", line)] == []
    shown = [line[6:] for line in whole if line.startswith("loud| flood")]
    assert len(shown) > 50 and [line for line in shown if not prefix_of_flood(line)] == []
    numbers = [int(match[1]) for match in map(FLOOD_LINE.fullmatch, shown) if match]
    assert numbers == sorted(set(numbers)) and len(numbers) > 0.9 * len(shown)
    beats = late(text, "beat| ")
    assert sorted(beats) == list(range(1, len(beats) + 1)) and len(beats) >= 14
    assert len(loud.keel.events("drop")) == 1


def test_focus_mode(loud):
    """The flood is out of sight while another VM has the console, and Ctrl-] works while the flood has it."""
    loud.enter()
    loud.machine.send("console beat\r")
    wait_beats(loud.machine, 5, "\n")
    begin = len(loud.machine.output())
    wait_beats(loud.machine, 5, "\n")
    calm = loud.machine.output()[begin:]
    assert "flood" not in calm and "beat|" not in calm
    loud.enter()
    loud.machine.send("console loud\r")
    for _ in range(20):
        loud.machine.expect(r"\nflood \d+ of lines that nobody waits for\r?\n", 60)
    loud.enter()
    assert loud.state("beat") == "running"
    loud.ask("vm stop loud", 60)
    loud.vm("loud", "stopped", reason="operator")
    wait_beats(loud.machine, 2)
    assert console_stats(loud, "beat")["console_dropped"] == 0
    # What was written out of sight is kept and shown afterwards: no beat is missing.
    beats = late(loud.machine.output().replace("\nbeat| ", "\n"))
    assert sorted(beats) == list(range(1, len(beats) + 1))


@pytest.mark.parametrize("options", ["console=line", "console=focus"])
def test_others_are_on_time(machine, tmp_path, options):
    """Time is counted: the flood, shown or not, costs another VM on the same core its turn at most."""
    keel = machine.keel(modules(tmp_path / "keel.conf", conf(loud="hog=flood for=150", beat="beat=5 for=150")), options,
                        memory=256, counted=True)
    assert keel.finish(120) == "clean"
    beats = late(keel.machine.output().replace("\nbeat| ", "\n"))
    assert len(beats) == 30
    assert max(beats.values()) <= LATE_US, beats


def test_port_without_an_interrupt(machine, tmp_path):
    """It is polled, and nobody waits for it either: not for a flood, nor for the report of a crash."""
    path = tmp_path / "madt"
    path.write_bytes(madt([lapic(0)]))
    keel = machine.keel(modules(tmp_path / "keel.conf", conf(loud="hog=flood for=100", bad="after=20 fault=triple",
                                                             beat="beat=5 for=300")),
                        memory=256, counted=True, acpi=[str(path)])
    keel.line("the serial port has no interrupt here and is polled", 60)
    keel.event("crash-end", 60, vm="bad")
    assert keel.finish(120) == "failed"
    beats = late(keel.machine.output(), "beat| ")
    assert len(beats) == 60 and max(beats.values()) <= LATE_US, beats
