"""A dump as a timeline: for each core who ran on it, what they left it for, and what was injected. Pure."""
from collections import namedtuple

from tracing.dump import EXIT, INJECT, LEAVE, RUN

LEFT = {0: "halted", 1: "preempted", 2: "stopped or paused"}       # enum trace_left
INJECTED = {0: "interrupt", 1: "virtual interrupt", 2: "NMI", 3: "exception", 4: "software interrupt", 5: "exception", 6: "exception"}
EXCEPTIONS = {0: "#DE", 1: "#DB", 3: "#BP", 4: "#OF", 5: "#BR", 6: "#UD", 7: "#NM", 8: "#DF", 10: "#TS", 11: "#NP", 12: "#SS", 13: "#GP",
              14: "#PF", 16: "#MF", 17: "#AC", 18: "#MC", 19: "#XM"}

# Times are picoseconds of Keel's clock. who: the vCPU in words; event: the one that it is made of, or None
Slice = namedtuple("Slice", "begin end name who event")
Instant = namedtuple("Instant", "at name who event")
Core = namedtuple("Core", "runs exits instants")


def injected_name(event):
    kind = INJECTED.get(event.code >> 8, "event of type %d" % (event.code >> 8))
    if kind == "NMI":
        return kind
    if kind == "exception":
        return "%s %s" % (kind, EXCEPTIONS.get(event.code & 0xff, event.code & 0xff))
    return "%s %#x" % (kind, event.code & 0xff)


def exit_name(dump, event):
    return dump.reasons.get(event.code) or "exit %d" % event.code


def end_of_exit(events, place):
    """In ticks. One whose end wasn't seen lasts until whatever is next that isn't a part of it."""
    event = events[place]
    later = [other.tsc for other in events[place + 1:place + 9] if other.kind != INJECT]
    end = event.tsc + event.ticks if event.ticks else later[0] if later else event.tsc
    return min([end] + later[:1])


def core_of(dump, events):
    core = Core([], [], [])
    running = None      # begin, vm, vcpu

    def leave(tsc, event):
        begin, vm, vcpu = running
        name = dump.vcpu_name(vm, vcpu)
        core.runs.append(Slice(dump.picoseconds(begin), dump.picoseconds(tsc), name, name, event))

    for place, event in enumerate(events):
        if running and (running[1:] != (event.vm, event.vcpu) or event.kind == RUN):
            leave(event.tsc, None)
            running = None
        if not running:     # one that ran already when the trace began has no event for that
            running = (event.tsc, event.vm, event.vcpu)
        who = dump.vcpu_name(event.vm, event.vcpu)
        if event.kind == EXIT:
            core.exits.append(Slice(dump.picoseconds(event.tsc), dump.picoseconds(end_of_exit(events, place)),
                                    exit_name(dump, event), who, event))
        elif event.kind == INJECT:
            core.instants.append(Instant(dump.picoseconds(event.tsc), injected_name(event), who, event))
        elif event.kind == LEAVE:
            leave(event.tsc, event)
            running = None
    if running:
        leave(max(events[-1].tsc, events[-1].tsc + events[-1].ticks), None)
    return core


def cut(slices, begin, end):
    """What is between two times, cut off there."""
    return [each._replace(begin=max(each.begin, begin), end=min(each.end, end)) for each in slices if each.end > begin and each.begin < end]


def timeline(dump, begin=None, end=None):
    """By number of the core; between two times of Keel's clock in seconds, if they are given."""
    cores = {number: core_of(dump, events) for number, events in sorted(dump.cores.items())}
    if begin is None and end is None:
        return cores
    begin = int((begin or 0) * 10 ** 12)
    end = int(end * 10 ** 12) if end is not None else 1 << 63
    return {number: Core(cut(core.runs, begin, end), cut(core.exits, begin, end), [each for each in core.instants if begin <= each.at < end])
            for number, core in cores.items()}
