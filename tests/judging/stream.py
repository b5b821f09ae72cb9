"""The serial stream (DESIGN 7) taken apart, however its bytes come: lines, whose they are, and events.

Pure: bytes in, lines out. In line mode every line says whose it is. In focus mode (one VM's console, raw) a line without
a known name in front belongs to the VM that has the console, and such a VM can imitate any other line.
"""
import codecs
import re
from collections import namedtuple

PAIR = re.compile(r'([\w.-]+)=("(?:[^"\\]|\\.)*"|\S*)')
OWN_LINE = re.compile(r"keel\[ *(?P<seconds>[0-9]+\.[0-9]+)\] (?P<text>.*)", re.S)
VM_LINE = re.compile(r"(?P<name>[\w.-]+)\| (?P<text>.*)", re.S)
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")

KEEL = "keel"           # whose the hypervisor's lines are, and the monitor's
LINE_MAX = 1 << 16      # what has no end by then, is one

# source: KEEL, a VM's name, or None for what comes before Keel; text: without prefix and end; seconds: Keel's clock, of its
# own lines; event: a dictionary of strings, or None; resumed: what the last line of that source said is said again, with more
# behind it; whole: as it came.
Line = namedtuple("Line", "source text seconds event resumed whole")


def parse_event(line):
    """`event=vm name=web reason="power off"` as a dictionary of strings; in quotes, a backslash is before a quote."""
    return {key: re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value for key, value in PAIR.findall(line)}


def plain(text):
    """Without a terminal's colours and cursor movements."""
    return ESCAPES.sub("", text)


class Stream:
    def __init__(self):
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.buffer = ""
        self.names = []         # of VMs, in the order of the plan
        self.focus = None       # whose a line without a name is
        self.booted = False     # Keel has spoken
        self.raw = False        # there was a line without a name: it is focus mode
        self.last = {}          # by source: its last line
        self.writer = None      # who wrote last
        self.shown = ""         # what pending() has given of the line that is in the buffer

    def feed(self, data):
        """The lines that are complete now."""
        self.buffer += self.decoder.decode(data)
        parts = self.buffer.split("\n")
        self.buffer = parts.pop()
        lines = [self.take(part) for part in parts]
        if len(self.buffer) > LINE_MAX:
            lines.append(self.take(self.buffer))
            self.buffer = ""
        return lines

    def pending(self):
        """The line that has no end yet, a prompt for example, or None. It comes again, as resumed, when it has one."""
        if not self.buffer or self.buffer == self.shown:
            return None
        whole = self.buffer.rstrip("\r")
        line = self.read(whole)
        if line.source in (None, KEEL) or (line.text == whole and not self.raw):
            return None     # a torn prefix, perhaps
        self.shown = self.buffer
        self.last[line.source] = line.text
        return line

    def end(self):
        """Nothing more comes: what is left is a line."""
        rest, self.buffer = self.buffer, ""
        return [self.take(rest)] if rest else []

    def take(self, part):
        line = self.read(part.rstrip("\r"))
        self.shown = ""
        self.raw = self.raw or (line.source not in (None, KEEL) and line.text == line.whole)
        self.writer = line.source
        self.last[line.source] = line.text
        if line.event:
            self.learn(line.event)
        return line

    def read(self, whole):
        own = OWN_LINE.match(whole) if self.booted else OWN_LINE.search(whole)
        if own:
            self.booted = True
            event = parse_event(own["text"]) if own["text"].startswith("event=") else None
            return Line(KEEL, own["text"], float(own["seconds"]), event, False, whole)
        vm = VM_LINE.match(whole)
        if vm and (vm["name"] == KEEL or self.known(vm["name"])):
            return self.of(vm["name"], vm["text"], whole)
        if whole.startswith("keel> "):
            return self.of(KEEL, whole, whole)
        return self.of(self.focus, whole, whole)

    def known(self, name):
        """A VM, or a port of its virtio console: VM.PORT, which is a source of its own."""
        return name in self.names or any(name.startswith(vm + ".") for vm in self.names)

    def of(self, source, text, whole):
        """A line that was shown before its end, as another's came in between, is shown again when it has grown."""
        last = self.last.get(source, "")
        grown = bool(last) and text.startswith(last) and len(text) > len(last) and self.writer != source
        return Line(source, text, None, None, grown or bool(self.shown), whole)

    def learn(self, event):
        """VMs are named in the plan; the console is the first one's that runs."""
        if event["event"] == "plan" and event.get("vm") and event["vm"] not in self.names:
            self.names.append(event["vm"])
        if event["event"] == "vm" and event.get("state") == "running" and self.focus is None:
            self.focus = event.get("name")
