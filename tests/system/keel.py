"""Keel as seen over the serial line (DESIGN 7): events as dictionaries, a VM's output without its prefix, a guest's shell."""
import re

from backends.machine import MachineError
from judging.stream import ESCAPES, parse_event

EVENT = re.compile(r"^keel\[\s*(?P<seconds>[0-9.]+)\] (?P<pairs>event=[^\r\n]*)\r?$", re.M)
OWN_LINE = re.compile(r"^keel\[\s*[0-9.]+\] ")
VM_LINE = re.compile(r"^(?P<name>[\w.-]+)\| ?(?P<text>.*)$")


def parse_events(text):
    found = []
    for match in EVENT.finditer(text):
        event = parse_event(match.group("pairs"))
        event["seconds"] = float(match.group("seconds"))
        found.append(event)
    return found


def fits(event, wanted):
    """Whether an event has these values; a wanted value may be a compiled expression or a collection of values."""
    for key, value in wanted.items():
        have = event.get(key)
        if isinstance(value, re.Pattern):
            if have is None or not value.search(have):
                return False
        elif isinstance(value, (set, list, tuple)):
            if have not in value:
                return False
        elif have != str(value):
            return False
    return True


def vm_output(text, name=None):
    """What a VM printed (or all of them), as lines without their prefixes."""
    lines = []
    for line in ESCAPES.sub("", text).replace("\r", "").split("\n"):
        if OWN_LINE.match(line):
            continue
        match = VM_LINE.match(line)
        if match and name in (None, match.group("name")):
            lines.append(match.group("text"))
    return lines


# The shell's, in whatever directory it is.
PROMPT = re.compile(r"[/~]\S* # ")


class Keel:
    """A running machine with Keel on it."""

    def __init__(self, machine):
        self.machine = machine
        self.commands = 0
        self.prompt = False     # whether the guest's shell has answered

    # The hypervisor's own lines.

    def event(self, kind, timeout=None, **wanted):
        """Waits for the next such event after what was already read."""
        pattern = re.compile(r"keel\[\s*[0-9.]+\] (event=%s\b[^\r\n]*)\r?\n" % re.escape(kind))
        while True:
            event = parse_event(self.machine.expect(pattern, timeout).group(1))
            if fits(event, wanted):
                return event

    def events(self, kind=None, **wanted):
        """All such events up to now, whether already read or not."""
        return [event for event in parse_events(self.machine.output())
                if kind in (None, event["event"]) and fits(event, wanted)]

    def line(self, pattern, timeout=None):
        """Waits for a line of the hypervisor that contains a pattern."""
        return self.machine.expect(re.compile(r"keel\[\s*[0-9.]+\] [^\r\n]*(?:%s)[^\r\n]*\r?\n" % pattern), timeout)

    def expect_all(self, patterns, timeout=None):
        """Waits until each of these has come, in whatever order; returns the matches in that of the patterns."""
        found = [None] * len(patterns)
        while None in found:
            left = [at for at, match in enumerate(found) if not match]
            match = self.machine.expect([patterns[at] for at in left], timeout)
            found[next(at for at in left if patterns[at] == match.re.pattern)] = match
        return found

    def finish(self, timeout=None):
        """Waits for the end of the machine; returns "clean", "failed" or "died" (Machine.outcome)."""
        self.machine.finish(timeout)
        return self.machine.outcome()

    # The guest.

    def linux_up(self, timeout=120):
        """Waits for the guest's first process; returns (kernel release, guest's uptime in seconds)."""
        match = self.machine.expect(r"KEEL-GUEST-UP (\S+) ([0-9.]+)\s", timeout)
        self.prompt = False
        return match.group(1), float(match.group(2))

    def find_prompt(self, banner=True):
        """Types until the shell answers: what comes before it is ready is lost when it sets up its terminal."""
        if banner:
            self.machine.expect("Enter 'help' for a list of built-in commands", 30)
            self.skip_prompt()
        for attempt in range(1, 11):
            self.machine.send("echo P''%d\r" % attempt)
            try:
                self.machine.expect(r"\bP%d\r?\n" % attempt, 3)
                self.prompt = True
                break
            except MachineError:
                pass
        else:
            raise MachineError("the guest's shell does not answer:\n" + self.machine.tail())
        # What the kernel says must not come among what commands print; it can be asked for (dmesg).
        self.skip_prompt()
        self.machine.send("dmesg -n 1\r")

    def await_prompt(self):
        """Waits until the shell reads its terminal: what is typed while it still sets it up can be lost."""
        if not self.prompt:
            self.find_prompt()
        self.skip_prompt()

    def skip_prompt(self):
        try:
            self.machine.expect(PROMPT, 2)
        except MachineError:
            pass    # a test has read past it

    def begin(self, command):
        """Types a command and waits until its output begins."""
        self.await_prompt()
        self.commands += 1
        mark = "K%d" % self.commands
        # The quotes keep the echo of what is typed from looking like the marks themselves.
        self.machine.send("echo %s''B; %s; echo %s''E $?\r" % (mark, command, mark))
        self.machine.expect(mark + r"B\r?\n", 30)
        return mark

    def end(self, mark, timeout=30):
        """Waits for the end of that command; returns (its exit status, what it printed)."""
        match = self.machine.expect(mark + r"E (\d+)\s", timeout)
        text = self.machine.serial.before
        lines = []
        for line in ESCAPES.sub("", text).replace("\r", "").split("\n"):
            if not OWN_LINE.match(line):
                prefixed = VM_LINE.match(line)
                lines.append(prefixed.group("text") if prefixed else line)
        if lines and not lines[-1]:
            lines.pop()
        return int(match.group(1)), "\n".join(lines)

    def shell(self, command, timeout=30):
        """Runs a command in the guest's shell; returns what it printed. A failing command is an error."""
        status, output = self.end(self.begin(command), timeout)
        if status != 0:
            raise MachineError("'%s' in the guest ended with status %d:\n%s" % (command, status, output))
        return output

    def power_off(self, timeout=60):
        """Switches the guest off from its shell; returns how the machine ended."""
        self.type("poweroff")
        return self.finish(timeout)

    def type(self, command):
        """For a command that does not come back."""
        self.await_prompt()
        self.machine.send(command + "\r")
