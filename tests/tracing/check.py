"""What importers of Chrome's Trace Event Format object to, or silently leave out, in a trace of ours. Pure."""
import json
from collections import defaultdict

# Perfetto's importer keeps whole nanoseconds, and cuts off what is behind them.
NS_PER_US = 1000
FIELDS = {"M": {"name", "pid", "args"}, "X": {"name", "cat", "pid", "tid", "ts", "dur", "args"}, "i": {"name", "cat", "pid", "tid", "ts", "s", "args"}}
METADATA = {"process_name": ("name", str), "thread_name": ("name", str), "thread_sort_index": ("sort_index", int)}


def names_something(event):
    key, kind = METADATA.get(event.get("name"), ("", None))
    return kind is not None and isinstance(event.get("args", {}).get(key), kind)


def shape_faults(place, event):
    """Of one event by itself."""
    if event.get("ph") not in FIELDS:
        return ["event %d: ph=%r isn't one of ours" % (place, event.get("ph"))]
    faults = ["event %d: there is no %s" % (place, field) for field in sorted(FIELDS[event["ph"]] - set(event))]
    faults += ["event %d: %s=%r is no number from 0 on" % (place, field, event[field]) for field in ("pid", "tid", "ts", "dur") if field in event and
               (isinstance(event[field], bool) or not isinstance(event[field], (int, float)) or event[field] < 0)]
    faults += ["event %d: %s=%r is no word" % (place, field, event[field]) for field in ("name", "cat") if field in event and
               not (isinstance(event[field], str) and event[field])]
    if not isinstance(event.get("args", {}), dict):
        faults.append("event %d: args isn't an object" % place)
    elif event["ph"] == "M" and not names_something(event):
        faults.append("event %d: metadata that names nothing" % place)
    if event["ph"] == "i" and event.get("s") not in ("t", "p", "g"):
        faults.append("event %d: s=%r is no scope" % (place, event.get("s")))
    return faults


def whole(microseconds):
    return round(microseconds * NS_PER_US)


def thread_faults(thread, events):
    """Times grow, are whole nanoseconds, and a slice that begins in another one ends in it, too: those that don't aren't shown."""
    faults, open_ends, last = [], [], 0
    for place, event in events:
        begin = whole(event["ts"])
        end = begin + whole(event.get("dur", 0))
        if any(abs(event.get(field, 0) * NS_PER_US - whole(event.get(field, 0))) > 1e-3 for field in ("ts", "dur")):
            faults.append("event %d: not in whole nanoseconds" % place)
        if begin < last:
            faults.append("event %d: before the one that it follows on track %s" % (place, thread))
        last = begin
        while open_ends and open_ends[-1] <= begin:
            open_ends.pop()
        if open_ends and end > open_ends[-1]:
            faults.append("event %d: ends behind the one that it is in, on track %s" % (place, thread))
        if event["ph"] == "X":
            open_ends.append(end)
    return faults


def faults_of(text):
    """What is wrong with the text of a trace, a line each; [] if nothing is."""
    try:
        events = json.loads(text)["traceEvents"]
    except (ValueError, KeyError, TypeError) as problem:
        return ["this is no trace: %r" % problem]
    faults = [fault for place, event in enumerate(events) for fault in shape_faults(place, event)]
    if faults:
        return faults
    named, threads = {event.get("tid") for event in events if event["name"] == "thread_name"}, defaultdict(list)
    for place, event in enumerate(events):
        if event["ph"] != "M":
            threads[event["tid"]].append((place, event))
    faults += ["track %s has no name" % thread for thread in threads if thread not in named]
    return faults + [fault for thread, own in threads.items() for fault in thread_faults(thread, own)]
