"""A timeline as Chrome's trace events, which Perfetto reads: a track for each core. Pure."""
import json

from tracing.timeline import LEFT

# No core's number: the thread that has its process's number is the main one to viewers, and shown first.
PID = 1000
# EXITINFO1 (APM volume 2, 15.10.2) and the exit qualification (SDM volume 3, table 28-5) both have the port here.
PORTS = {("svm", "I/O"): 0, ("vmx", "I/O instruction"): 3}    # the bit that says IN


PS_PER_NS = 1000
NS_PER_US = 1000


def microseconds(begin, end):
    """
    From one time in picoseconds to another, by whole nanoseconds: Perfetto keeps no more, and cuts off the rest from begin and
    length alike, which would let a slice end behind the one that it is in. Such a slice isn't shown.
    """
    return (end // PS_PER_NS - begin // PS_PER_NS) / NS_PER_US


def metadata(name, value, thread=None, key="name"):
    return {"ph": "M", "pid": PID, **({} if thread is None else {"tid": thread}), "name": name, "args": {key: value}}


def track(number):
    """By number, and not by name, which would have core 10 before core 2."""
    return [metadata("thread_name", "core %d" % number, number), metadata("thread_sort_index", number, number, "sort_index")]


def exit_arguments(dump, each):
    event = each.event
    found = {"vcpu": each.who, "rip": "%#x" % event.rip, "reason": "%#x" % event.code, "info": "%#x" % event.info}
    direction = PORTS.get((dump.vendor, each.name))
    if direction is not None:
        found["port"] = "%s %#x" % ("in" if event.info >> direction & 1 else "out", event.info >> 16)
    return found


def complete(thread, each, category, arguments):
    return {"ph": "X", "pid": PID, "tid": thread, "ts": microseconds(0, each.begin), "dur": microseconds(each.begin, each.end),
            "name": each.name, "cat": category, "args": arguments}


def core_events(dump, thread, core):
    events = [complete(thread, each, "run", {"left": LEFT.get(each.event.code, "")} if each.event else {}) for each in core.runs]
    events += [complete(thread, each, "exit", exit_arguments(dump, each)) for each in core.exits]
    events += [{"ph": "i", "s": "t", "pid": PID, "tid": thread, "ts": microseconds(0, each.at), "name": each.name, "cat": "inject",
                "args": {"vcpu": each.who}} for each in core.instants]
    return sorted(events, key=lambda event: (event["ts"], -event.get("dur", 0)))


def chrome(dump, cores):
    """The text of the JSON, an event a line."""
    events = [metadata("process_name", "Keel (%s)" % dump.vendor)]
    for number, core in cores.items():
        events += track(number) + core_events(dump, number, core)
    lines = ",\n".join(json.dumps(event) for event in events)
    return '{"displayTimeUnit": "ns", "traceEvents": [\n%s\n]}\n' % lines
