"""Several VMs from a keel.conf, and the monitor as a program uses it."""
import os
import re
import time

import images
from backends.machine import MachineError
from keel import fits, parse_event, parse_events

PAYLOAD = os.path.join(images.PAYLOADS, "exits.bz")


# A line that is nothing but key=value.
PAIRS = re.compile(r'(?:[\w.-]+=(?:"(?:[^"\\]|\\.)*"|[^\s"]*)(?: (?=\S)|$))+')


def modules(path, text):
    """The modules of a machine whose keel.conf has this text; kernels are called `exits` there."""
    path.write_text(text)
    return [(str(path), "keel.conf"), (PAYLOAD, "exits")]


def conf(on_idle="poweroff", **vms):
    """A keel.conf of payload VMs: vm(name="beat=100", ...) or, with more keys, a dictionary."""
    text = "[keel]\non_idle = %s\n" % on_idle
    for name, keys in vms.items():
        keys = {"cmdline": keys} if isinstance(keys, str) else keys
        keys = {"kernel": "exits", "memory": "16M", **keys}
        text += "[vm %s]\n" % name + "".join("%s = %s\n" % item for item in keys.items())
    return text


def pairs(line):
    """`vm=web state=running` as a dictionary."""
    return parse_event(line)


class Monitor:
    """The prompt of a machine's monitor."""

    def __init__(self, keel):
        self.keel = keel
        self.machine = keel.machine
        self.marks = 0
        self.seen = 0       # events of the output that were waited for already

    def enter(self):
        self.machine.send("\x1d")
        self.machine.expect("keel> ")
        return self

    def ask(self, command, timeout=20):
        """Types a command; returns the lines of its answer."""
        self.marks += 1
        begin = len(self.machine.output())
        # A word that is no command marks the end of what comes before.
        self.machine.send("%s\rend%d\r" % (command, self.marks))
        self.machine.expect(r"no command end%d; try help\r?\n" % self.marks, timeout)
        text = self.machine.output()[begin:].replace("\r", "")
        lines = re.findall(r"^keel\| (.*)$", text, re.M)
        return [line for line in lines if not line.startswith("there is no command end%d;" % self.marks)]

    def table(self, command):
        """The answer as a list of dictionaries."""
        return [pairs(line) for line in self.ask(command)]

    def program(self, command, timeout=20):
        """The same as a program asks for it: all lines as dictionaries, the last one says what ended."""
        begin = len(self.machine.output())
        self.machine.send("kv %s\r" % command)
        self.machine.expect(r"keel\| (?:vm=\S+ )?end=[^\r\n]*\r?\n", timeout)
        text = self.machine.output()[begin:].replace("\r", "")
        lines = re.findall(r"^keel\| (.*)$", text, re.M)
        assert [line for line in lines if not PAIRS.fullmatch(line)] == []
        return [pairs(line) for line in lines]

    def look(self, command):
        """The answer of regs, mem, walk or trace, which comes when the VM has come to rest."""
        what, name = command.split()[:2]
        begin = len(self.machine.output())
        self.machine.send(command + "\r")
        self.machine.expect(r"keel\| vm=%s end=%s\r?\n" % (name, what))
        text = self.machine.output()[begin:].replace("\r", "")
        return [pairs(line) for line in re.findall(r"^keel\| (.*)$", text, re.M)][:-1]

    def state(self, name):
        return {row["vm"]: row["state"] for row in self.table("vm list")}[name]

    def memory(self):
        return self.table("memory")[0]

    def event(self, kind, timeout=30, **wanted):
        """Waits for such an event after the last that was waited for, whether it was read already or not."""
        give_up = time.monotonic() + self.machine.seconds(timeout)
        while True:
            # The last line may be still on its way.
            events = parse_events(self.machine.output().rpartition("\n")[0])
            for number, event in enumerate(events[self.seen:], self.seen):
                if event["event"] == kind and fits(event, wanted):
                    self.seen = number + 1
                    return event
            if time.monotonic() > give_up:
                raise MachineError("no event=%s with %s:\n%s" % (kind, wanted, self.machine.tail()))
            self.machine.expect(r"\n", timeout)

    def vm(self, name, state, timeout=30, **wanted):
        return self.event("vm", timeout, name=name, state=state, **wanted)
