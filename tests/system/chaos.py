"""VMs that do anything at all (guests/payload/chaos), beside one that must not notice: counted, judged and told how to repeat them."""
import re
import signal

import pexpect
from keel import parse_events
from monitor import pairs

QUIET = 10      # seconds of QEMU's without any line at all: a VM makes exits of the slowest kind, and the clock hardly goes on
TRIES = 5       # resets of all VMs for that
STALLED = 4     # heartbeats without a line of a VM: it is where only a reset ends it
WAITED = 100    # the same while others' crash reports are written, one after the other, and its own may be among them
LAST = 60       # lines of a failure
REPORT = 800    # lines of one with a crash report
ALIKE = 0.8     # of a batch's steps, which is more than any one end has among random ones
BATCH = 500     # steps; a number beyond that has in it what a guest wrote to its serial port

# How QEMU itself dies when its translator doesn't know what to do; not SIGKILL, by which others end it.
OWN_FAULT = [signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSEGV, signal.SIGTRAP]

# What may become of such a guest. Anything else, a refused entry above all, is a fault of Keel's.
ENDS = [
    r"triple fault$",
    r".* that the emulator doesn't know touched a device: ",
    r"an instruction that can't be decoded touched a device$",
    r"the guest's (?:code is|page tables are) where there is no memory, at 0x",
    r"the guest's write goes where there is no memory, at 0x",
    r"the guest's stack, tables or descriptors lie on its LAPIC$",
    r"the guest is in real mode, and this CPU has no unrestricted guest ",
]


class EmulatorDied(Exception):
    """Of a fault of its own, with all that is on the machine."""


class Guest:
    """What is known of one of the VMs."""

    def __init__(self, name):
        self.name = name
        self.state = "stopped"
        self.said = 0       # the heartbeat at which it was last heard of, or might have been
        self.heard = 0      # at which it was
        self.step = 0       # of its batch
        self.at = ""        # the same with the seed, as it said it
        self.fault = ""     # a reason to crash that there mustn't be
        self.alike = False  # most steps of its last batch ended in one way: it may have written over itself


class Chaos:
    def __init__(self, names):
        self.names = names
        self.did = 0            # steps that were told of
        self.batches = 0
        self.ends = {}          # how often VMs ended in which way
        self.crashes = {}       # the same for reasons
        self.vectors = {}       # what ended the steps of batches that came to their end
        self.resets = 0
        self.deaths = 0         # of emulators

    def take(self, machine):
        """The first machine, or another one after that."""
        self.machine = machine
        self.guests = {name: Guest(name) for name in self.names}
        self.rest = ""
        self.answers = []
        self.asked = 0
        self.beats = {}         # microseconds late, by number

    # The stream.

    def beat(self):
        return max(self.beats, default=0)

    def guest_line(self, guest, text):
        guest.said = guest.heard = self.beat()
        # It may have left something in the line before.
        match = re.search(r"chaos seed=(0x[0-9a-f]+) step=(\d+)$", text)
        if match and int(match.group(2)) <= BATCH:
            guest.at, step = match.group(0), int(match.group(2))
            self.batches += step == 0
            self.did += step - guest.step if step else 0
            guest.step = step
        match = re.search(r"chaos ends ((?:\w+=\d+ ?)+)$", text)
        counts = {name: int(count) for name, count in pairs(match.group(1)).items()} if match else {}
        for name, count in counts.items():
            self.vectors[name] = self.vectors.get(name, 0) + count
        guest.alike |= bool(counts) and max(counts.values()) > ALIKE * sum(counts.values())

    def event(self, event):
        assert event["event"] != "panic", event
        guest = self.guests.get(event.get("vm") or event.get("name"))
        if guest and event["event"] == "crash":
            reason = event["reason"]
            if not any(re.match(end, reason) for end in ENDS):
                guest.fault = "%s: %s" % (guest.at, reason)
            reason = re.sub(r"(0x|: ).*", r"\1...", reason)
            self.crashes[reason] = self.crashes.get(reason, 0) + 1
            guest.state = "crashing"    # its report takes time
        if event["event"] == "crash-end":
            # With the whole report, which may have other VMs' lines in it.
            assert not (guest and guest.fault), "%s, after %s\n%s" % (guest.name, guest.fault, self.machine.tail(REPORT))
            # Others may have ended meanwhile, and wait for their own reports.
            for other in self.guests.values():
                other.said = self.beat()
        if guest and event["event"] == "vm":
            guest.state, guest.said, guest.heard = event["state"], self.beat(), self.beat()
            if "reason" in event:
                self.ends[event["reason"]] = self.ends.get(event["reason"], 0) + 1

    def line(self, line):
        name, bar, text = line.partition("| ")
        if bar and name == "keel":
            self.answers.append(text)
        elif bar and name in self.guests:
            self.guest_line(self.guests[name], text)
        for event in parse_events(line):
            self.event(event)
        match = re.match(r"beat\| beat n=(\d+) late_us=(\d+)$", line)
        if match:
            self.beats[int(match.group(1))] = int(match.group(2))

    def read(self):
        """What there is, or what comes next; "" if nothing does."""
        try:
            return self.machine.serial.read_nonblocking(65536, timeout=self.machine.seconds(QUIET))
        except pexpect.TIMEOUT:
            return ""
        except (pexpect.EOF, OSError):
            self.ended()

    def send(self, text):
        try:
            self.machine.send(text)
        except OSError:
            pass    # there is no machine any more: read() comes to that when it has read what was said before

    def ended(self):
        """Whose fault it was: Keel ends in no other way than by itself (a triple fault of the machine: status 0)."""
        status = self.machine.wait(20)
        own = self.machine.name == "qemu-svm" and status is not None and -status in OWN_FAULT
        if not own or self.machine.timed_out or "event=panic" in self.rest:
            self.fail("the machine ended, status %s" % status)
        raise EmulatorDied("QEMU itself died by signal %d" % -status)

    def where(self):
        return "; ".join("%s after %s" % (guest.name, guest.at) for guest in self.guests.values())

    def fail(self, what):
        raise AssertionError("%s; %s:\n%s" % (what, self.where(), self.machine.tail(LAST)))

    def pump(self):
        tries = 0
        while not (text := self.read()):
            tries += 1
            if tries > TRIES:
                self.fail("the machine is silent, at\n%s\nand then at\n%s\n" % (self.machine.look(), self.machine.look()))
            self.reset_all()
        lines = (self.rest + text.replace("\r", "")).split("\n")
        self.rest = lines.pop()
        for line in lines:
            self.line(line)

    def reset_all(self):
        for guest in self.guests.values():
            if guest.state == "running":
                self.resets += 1
                self.send("vm reset %s\r" % guest.name)

    def ask(self, command):
        self.asked += 1
        begin, end = len(self.answers), "there is no command end%d;" % self.asked
        self.send("%s\rend%d\r" % (command, self.asked))
        while not any(line.startswith(end) for line in self.answers[begin:]):
            self.pump()
        return [line for line in self.answers[begin:] if not line.startswith(end)]

    # The run.

    def stands_still(self, guest):
        if any(other.state == "crashing" for other in self.guests.values()):
            return self.beat() > guest.heard + WAITED
        return self.beat() > guest.said + STALLED

    def watch(self, guest):
        """One that has switched itself off, or sleeps for good, begins anew."""
        if guest.state == "stopped":
            guest.state = "running"
            self.ask("vm start " + guest.name)
        elif guest.state == "running" and (guest.alike or self.stands_still(guest)):
            guest.said, guest.heard, guest.alike = self.beat(), self.beat(), False
            self.resets += 1
            self.ask("vm reset " + guest.name)

    def run(self, steps):
        while self.did < steps:
            for guest in self.guests.values():
                self.watch(guest)
            self.pump()

    def end(self):
        """Leaves them stopped."""
        while any(guest.state not in ("stopped", "crashed") for guest in self.guests.values()):
            for guest in self.guests.values():
                if guest.state not in ("stopped", "crashed"):
                    self.ask("vm kill " + guest.name)
            self.pump()

    def audit(self):
        return pairs(self.ask("audit")[-1])

    def check_beats(self, late_ms):
        """All of them came, and in time."""
        gaps = set(range(min(self.beats, default=0), self.beat())) - set(self.beats)
        assert not gaps, sorted(gaps)
        assert max(self.beats.values(), default=0) <= 1000 * late_ms

    def told(self):
        return "%d steps in %d batches; deaths of QEMU itself: %d; resets of VMs that stood still, or whose steps all ended alike: %d; ends: %s; crashes: %s; steps' ends: %s" % (
            self.did, self.batches, self.deaths, self.resets, self.ends, self.crashes, self.vectors)
