"""Eight VMs for minutes: some are left alone, the others start, crash, reboot, pause and end at random, by a seed.

All is read from the serial stream, once: what the VMs say, the events, and the monitor's answers.
"""
import re

import pexpect
from keel import parse_events
from monitor import pairs

BEAT_MS = 50
FOREVER = 100000000

ALIVE = "while+:;do+read+up+idle</proc/uptime;echo+alive+$up;sleep+1;done"
DIES = "sleep+%d;echo+c>/proc/sysrq-trigger"

LEFT_ALONE = {
    "beat": {"cmdline": "beat=%d for=%d" % (BEAT_MS, FOREVER)},
    "beat2": {"cmdline": "beat=100 for=%d" % FOREVER, "weight": 64},
    "linux": {"cmdline": "console=ttyS0 quiet keel.run=" + ALIVE, "vcpus": 2},
}
AT_RANDOM = {
    "exits": {"cmdline": "exits=cpuid,msr,ports,exceptions,lapic,timer,hlt"},
    "hog": {"cmdline": "hog smp=2 for=20", "vcpus": 2},
    "smp": {"cmdline": "smp=2", "vcpus": 2, "on_reboot": "stop"},
    "crash": {"cmdline": "fault=triple after=3000", "on_crash": "restart"},
    "kernel": {"cmdline": "console=ttyS0 quiet panic=1 keel.run=", "on_reboot": "restart"},
}

# What may be asked of a VM in which state.
ORDERS = {
    "running": ["pause", "pause", "reset", "stop", "kill"],
    "paused": ["resume", "resume", "resume", "reset", "stop", "kill"],
    "stopped": ["start"],
    "crashed": ["start"],
    "restarting": ["stop"],
}
# Without any effect on the others either.
QUESTIONS = ["vm list", "stats", "top", "memory", "cpus", "cap", "log"]


def section(name, keys):
    values = {"kernel": "exits.bz", "memory": "16M", "autostart": "no"}
    if "console=" in keys["cmdline"]:
        values.update(kernel="vmlinuz", initrd="initrd.gz", memory="160M")
    values.update(keys)
    return "[vm %s]\n%s\n" % (name, "".join("%s = %s\n" % pair for pair in values.items()))


def sections(kernel_seconds):
    """kernel_seconds: after so long the kernel that is not left alone panics, and its VM reboots."""
    chosen = {**LEFT_ALONE, **AT_RANDOM}
    chosen["kernel"] = dict(chosen["kernel"], cmdline=chosen["kernel"]["cmdline"] + DIES % kernel_seconds)
    return ["[keel]\non_idle = monitor\n"] + [section(name, keys) for name, keys in chosen.items()]


class Soak:
    """Reads the stream of a machine, and gives orders to its monitor."""

    def __init__(self, machine, random):
        self.machine = machine
        self.random = random
        self.rest = ""
        self.answers = []
        self.asked = 0
        self.states = {}                                    # of each VM, by the last event
        self.events = []
        self.beats = {name: {} for name in LEFT_ALONE}      # microseconds late, by number
        self.alive = []                                     # the uptimes that `linux` shows
        self.orders = {}

    # The stream.

    def line(self, line):
        if line.startswith("keel| "):
            self.answers.append(line[6:])
            return
        for event in parse_events(line):
            self.events.append(event)
            assert event["event"] != "panic", line
            if event["event"] == "vm":
                self.states[event["name"]] = event["state"]
        match = re.match(r"(\w+)\| (?:beat n=(\d+) late_us=(\d+)|alive ([0-9.]+))$", line)
        if match and match.group(2):
            self.beats[match.group(1)][int(match.group(2))] = int(match.group(3))
        elif match and match.group(1) == "linux" and float(match.group(4)) not in self.alive[-1:]:
            self.alive.append(float(match.group(4)))

    def pump(self):
        """Takes what there is; waits for some if there is none."""
        try:
            text = self.machine.serial.read_nonblocking(65536, timeout=self.machine.seconds(30))
        except (pexpect.TIMEOUT, pexpect.EOF):
            raise AssertionError("the machine is silent:\n" + self.machine.tail()) from None
        lines = (self.rest + text.replace("\r", "")).split("\n")
        self.rest = lines.pop()
        for line in lines:
            self.line(line)

    def until(self, done):
        while not done():
            self.pump()

    # The monitor.

    def ask(self, command):
        self.asked += 1
        begin, end = len(self.answers), "there is no command end%d;" % self.asked
        self.machine.send("%s\rend%d\r" % (command, self.asked))
        self.until(lambda: any(line.startswith(end) for line in self.answers[begin:]))
        return [line for line in self.answers[begin:] if not line.startswith(end)]

    def audit(self):
        row = pairs(self.ask("audit")[-1])
        assert row["result"] == "ok", row

    def memory(self):
        return self.ask("memory")

    # What is done.

    def seconds(self):
        """How long it has lasted, by the clock of a VM that is left alone."""
        return max(self.beats["beat"], default=0) * BEAT_MS / 1000

    def wait(self, beats):
        target = max(self.beats["beat"], default=0) + beats
        self.until(lambda: target in self.beats["beat"])

    def order(self):
        name = self.random.choice(sorted(AT_RANDOM))
        # A start of Linux takes much longer than all else: it is seldom made anew.
        if name == "kernel" and self.states[name] in ("running", "paused") and self.random.random() < 0.8:
            verb = {"running": "pause", "paused": "resume"}[self.states[name]]
        else:
            verb = self.random.choice(ORDERS[self.states[name]])
        self.orders[verb] = self.orders.get(verb, 0) + 1
        self.ask("vm %s %s" % (verb, name))

    def start_all(self):
        for name in list(LEFT_ALONE) + list(AT_RANDOM):
            self.ask("vm start " + name)
        self.until(lambda: len(self.states) == len(LEFT_ALONE) + len(AT_RANDOM))

    def run(self, seconds, longest_pause):
        rounds = 0
        while self.seconds() < seconds:
            self.wait(self.random.randint(1, longest_pause))
            self.order()
            rounds += 1
            if rounds % 10 == 0:
                self.ask(self.random.choice(QUESTIONS))
            if rounds % 20 == 0:
                self.audit()

    def stop_all(self):
        """Also those that restart or crash in the meantime."""
        while set(self.states.values()) - {"stopped", "crashed"}:
            for name in sorted(self.states):
                if self.states[name] not in ("stopped", "crashed"):
                    self.ask("vm kill " + name)

    # What came of it.

    def gaps(self):
        """By name: heartbeats that never came."""
        return {name: sorted(set(range(1, max(beats, default=1) + 1)) - set(beats))
                for name, beats in self.beats.items() if name != "linux"}

    def latest(self):
        """By how many ms the worst heartbeat was late; for Linux, beyond its second."""
        late = {name: max(beats.values()) / 1000 for name, beats in self.beats.items() if beats}
        late["linux"] = max(((b - a - 1) * 1000 for a, b in zip(self.alive, self.alive[1:])), default=0)
        return late
