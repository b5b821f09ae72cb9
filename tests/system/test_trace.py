"""The trace: switched on by the monitor or from the start, dumped, and made a timeline of, which has what the guests are known to do."""
import json
import os
import re
import subprocess
import sys

import pytest
import vms
from monitor import Monitor
from vms import vm

from backends.machine import TOP
from tracing.check import faults_of

pytestmark = pytest.mark.cores_at_once

ROUNDS = 20
NAMES = ("one", "two")     # each has a core for itself
# CPUID, RDMSR, IN, and HLT after the timer was armed.
STEPS = {"svm": ["CPUID", "MSR", "I/O", "HLT"], "vmx": ["CPUID", "RDMSR", "I/O instruction", "HLT"]}


def dump(monitor, newest=""):
    """What tests/trace makes of the serial log."""
    monitor.machine.send("kv tracing dump%s\r" % newest)
    monitor.machine.expect(r'keel\| end="tracing dump"\r?\n', 60)
    log = monitor.machine.log_path("serial")
    path = monitor.machine.log_path("json")
    done = subprocess.run([sys.executable, os.path.join(TOP, "tests", "trace"), log, "-o", path, "--svg", monitor.machine.log_path("svg")],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    with open(path) as file:
        text = file.read()
    assert faults_of(text) == []
    return [event for event in json.loads(text)["traceEvents"] if event["ph"] != "M"]


def of(events, category, vcpu=None):
    return [event for event in events if event["cat"] == category and vcpu in (None, event["args"].get("vcpu", event["name"]))]


def follow(events, names):
    """How often these come one after the other, with others between them."""
    found = 0
    for event in events:
        if event["name"] == names[found % len(names)]:
            found += 1
    return found // len(names)


def check_times(events, core):
    """On one core: they grow, no exit lasts beyond the next or beyond its vCPU's turn."""
    exits, runs = ([each for each in of(events, category) if each["tid"] == core] for category in ("exit", "run"))
    for before, after in zip(exits, exits[1:]):
        assert 0 < before["dur"] and before["ts"] + before["dur"] <= after["ts"] + 1e-3, (before, after)
    for each in exits:
        assert any(run["ts"] - 1e-3 <= each["ts"] and each["ts"] + each["dur"] <= run["ts"] + run["dur"] + 1e-3 for run in runs), each


def life(monitor):
    """Both VMs from their start to their end; gives what they said, without figures."""
    keel, said = monitor.keel, {}
    before = {name: len(vms.output(keel, name)) for name in NAMES}
    for name in NAMES:
        monitor.ask("vm start " + name)
    assert {monitor.event("vm", state="stopped", reason="poweroff")["name"] for _ in NAMES} == set(NAMES)
    for name in NAMES:
        # A line that was shown unfinished comes again.
        lines = vms.output(keel, name)[before[name]:]
        whole = [line for line, following in zip(lines, lines[1:] + ["\0"]) if not following.startswith(line)]
        said[name] = [re.sub(r"[0-9]+", "N", line) for line in whole]
        assert vms.failures(keel, name) == []
    return said


def check_vm(kind, events, name, core):
    vcpu = name + " vCPU 0"
    exits, turns = of(events, "exit", vcpu), of(events, "run", vcpu)
    assert {each["tid"] for each in exits} == {each["tid"] for each in turns} == {core}
    assert follow(exits, STEPS[kind.vendor]) >= ROUNDS
    assert len([each for each in exits if each["args"].get("port") == "in 0x61"]) >= ROUNDS
    assert [each for each in turns if each["args"].get("left") == "halted"]
    assert len([each for each in of(events, "inject", vcpu) if "interrupt" in each["name"]]) >= ROUNDS


def test_timeline(kind, machine, tmp_path):
    """Two VMs on two cores, with the trace on by the option, off, and on by the monitor: they say the same each time."""
    sections = ["[keel]\non_idle = monitor\ntrace = 256K\n"]
    sections += [vm(name, cmdline="steps=%d" % ROUNDS, cpus=core, autostart="no") for core, name in enumerate(NAMES)]
    keel = vms.boot(machine, tmp_path, sections, cores=2)
    keel.event("idle", 60)
    monitor = Monitor(keel).enter()
    traced = life(monitor)
    events = dump(monitor)
    for core, name in enumerate(NAMES):
        check_vm(kind, events, name, core)
        check_times(events, core)
    assert monitor.ask("tracing off") == ["tracing=off"]
    assert life(monitor) == traced
    assert [row["events"] for row in monitor.program("tracing dump") if row.get("trace") == "core"] == ["0", "0"]
    assert monitor.ask("tracing on") == ["tracing=on events=8192"]
    assert life(monitor) == traced
    assert len([each for each in dump(monitor, " 100") if each["ph"] != "X" or each["cat"] == "exit"]) <= 200
