"""What `tracing dump` has written, taken out of a serial log: the machine, its VMs, and each core's events. Pure.

The events are core/trace_ring.h's, byte for byte.
"""
import re
import struct
from collections import namedtuple

from judging.stream import parse_event, plain

VERSION = 1
EVENT = struct.Struct("<IIIIIIQ")
EXIT, INJECT, RUN, LEAVE = range(4)     # enum trace_kind

LINE = re.compile(r"^keel\| (?P<pairs>trace=\S.*|end=\"tracing dump\")$")

# vm, vcpu: numbers; ticks: of an exit, 0 if its end wasn't seen
Event = namedtuple("Event", "tsc ticks kind vm vcpu code info rip")


class BadDump(Exception):
    """A sentence for whoever has given us the log."""


class Dump:
    def __init__(self, machine):
        self.vendor = machine["vendor"]
        self.hz, self.tsc, self.ns = (number(machine, key) for key in ("hz", "tsc", "ns"))
        self.cores = {}     # by number: its events
        self.before = {}    # by number: how many came before those
        self.wanted = {}    # by number: how many there must be
        self.vms = {}       # names
        self.reasons = {}   # of exits, in words
        if not self.hz:
            raise BadDump("hz=0 is no rate of a clock")

    def picoseconds(self, tsc):
        """Of Keel's clock."""
        return self.ns * 1000 + (tsc - self.tsc) * 10 ** 12 // self.hz

    def vcpu_name(self, vm, vcpu):
        return "%s vCPU %d" % (self.vms.get(vm, "VM %d" % vm), vcpu)


def number(pairs, key):
    if not re.fullmatch(r"[0-9]+", pairs.get(key, "")):
        raise BadDump("%s=%s is no number" % (key, pairs[key]) if key in pairs else "there is no %s=" % key)
    return int(pairs[key])


def events_of(digits):
    if not re.fullmatch(r"(?:[0-9a-f]{2})+", digits) or len(digits) % (2 * EVENT.size):
        raise BadDump("hex= doesn't have events of %d bytes each" % EVENT.size)
    for low, ticks, high, who, code, info, rip in EVENT.iter_unpack(bytes.fromhex(digits)):
        if who & 0xff > LEAVE:
            raise BadDump("there is no event of kind %d" % (who & 0xff))
        yield Event(high << 32 | low, ticks, who & 0xff, who >> 16, who >> 8 & 0xff, code, info, rip)


def take_events(dump, pairs):
    core = number(pairs, "core")
    if core not in dump.cores:
        raise BadDump("events of core %d, which wasn't announced" % core)
    events = dump.cores[core]
    if number(pairs, "first") != dump.before[core] + len(events):
        raise BadDump("a line of core %d is missing: first=%s, and not %d" % (core, pairs["first"], dump.before[core] + len(events)))
    for event in events_of(pairs.get("hex", "")):
        if events and event.tsc < events[-1].tsc:
            raise BadDump("core %d: an event comes before the one that it follows" % core)
        events.append(event)


def take(dump, pairs):
    kind = pairs["trace"]
    if kind == "vm":
        dump.vms[number(pairs, "id")] = pairs.get("name", "")
    elif kind == "exit":
        dump.reasons[number(pairs, "reason")] = pairs.get("name", "")
    elif kind == "core":
        core = number(pairs, "core")
        dump.cores[core], dump.before[core], dump.wanted[core] = [], number(pairs, "before"), number(pairs, "events")
    elif kind == "events":
        take_events(dump, pairs)
    else:
        raise BadDump("trace=%s isn't known" % kind)


def check_end(dump):
    for core, events in dump.cores.items():
        if len(events) != dump.wanted[core]:
            raise BadDump("core %d has %d events, and %d were announced" % (core, len(events), dump.wanted[core]))


def lines_of(text):
    """The lines of dumps, with their numbers."""
    for place, line in enumerate(plain(text).replace("\r", "").split("\n"), 1):
        match = LINE.match(line)
        if match:
            yield place, parse_event(match.group("pairs"))


def read(text):
    """The last dump of a log. A BadDump says in which line it isn't as it should be."""
    dump, ended, place = None, False, 0
    try:
        for place, pairs in lines_of(text):
            if pairs.get("trace") == "machine":
                if number(pairs, "version") != VERSION:
                    raise BadDump("version %s; this reads version %d" % (pairs["version"], VERSION))
                dump, ended = Dump({"vendor": "", **pairs}), False
            elif dump and not ended and "end" in pairs:
                check_end(dump)
                ended = True
            elif dump and not ended:
                take(dump, pairs)
    except BadDump as problem:
        raise BadDump("line %d: %s" % (place, problem)) from None
    if not dump:
        raise BadDump("there is no dump in it: no line `keel| trace=machine ...`")
    if not ended:
        raise BadDump('the dump isn\'t complete: it has no line `keel| end="tracing dump"`')
    return dump
