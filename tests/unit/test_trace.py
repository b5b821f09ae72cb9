"""The trace's way from a serial log to a timeline: what is drawn, and what is said of a log that isn't good."""
import json
import os
import subprocess
import sys

import pytest

TESTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path.insert(0, os.path.abspath(TESTS))

from tracing.check import faults_of                                 # noqa: E402
from tracing.chrome import chrome                                   # noqa: E402
from tracing.dump import EVENT, EXIT, INJECT, LEAVE, RUN, BadDump, read  # noqa: E402
from tracing.picture import picture                                 # noqa: E402
from tracing.timeline import timeline                               # noqa: E402

WEB, DB = (0, 0), (1, 2)
CPUID, HLT = 0x72, 0x78
# At 1 GHz a tick is a nanosecond; the TSC was 5000 when Keel's clock began.
EVENTS = [(6000, 0, RUN, WEB, 0, 0, 0),
          (6100, 40, EXIT, WEB, CPUID, 0, 0x1000),
          (6200, 300, EXIT, WEB, HLT, 0, 0x1002),
          (6250, 0, INJECT, WEB, 0x31, 0, 0),
          (6500, 0, LEAVE, WEB, 0, 0, 0),
          (7000, 0, RUN, DB, 0, 0, 0),
          (7100, 0, INJECT, DB, 0x30e, 0, 0),
          (7200, 50, EXIT, DB, 999, 0, 0xffffffff81000000)]


def packed(events):
    return b"".join(EVENT.pack(tsc & 0xffffffff, ticks, tsc >> 32, vm << 16 | vcpu << 8 | kind, code, info, rip)
                    for tsc, ticks, kind, (vm, vcpu), code, info, rip in events).hex()


def log(events=EVENTS, before=0, announced=None, end=True, machine="version=1 vendor=svm cores=1 hz=1000000000 tsc=9000 ns=4000",
        more=""):
    lines = ["keel[0.000001] event=boot version=0.1.0", "web| keel| trace=nothing of this counts", "keel| trace=machine " + machine,
             "keel| trace=vm id=0 name=web vcpus=1", "keel| trace=vm id=1 name=db vcpus=3",
             "keel| trace=core core=0 events=%d before=%d" % (len(events) if announced is None else announced, before),
             'keel| trace=exit reason=%d name="CPUID"' % CPUID, 'keel| trace=exit reason=%d name="HLT"' % HLT]
    for place in range(0, len(events), 3):
        lines += ["web| a line between", "keel| trace=events core=0 first=%d hex=%s" % (before + place, packed(events[place:place + 3]))]
    return "\r\n".join(lines + [more] * bool(more) + ['keel| end="tracing dump"'] * end + ["keel> "])


def core(events=EVENTS, begin=None, end=None, **more):
    return timeline(read(log(events, **more)), begin, end)[0]


def ns(slices):
    return [(each.begin // 1000, each.end // 1000, each.name) for each in slices]


def test_slices():
    found = core()
    assert ns(found.runs) == [(1000, 1500, "web vCPU 0"), (2000, 2250, "db vCPU 2")]
    assert ns(found.exits) == [(1100, 1140, "CPUID"), (1200, 1500, "HLT"), (2200, 2250, "exit 999")]
    assert [(each.at // 1000, each.name, each.who) for each in found.instants] == [
        (1250, "interrupt 0x31", "web vCPU 0"), (2100, "exception #PF", "db vCPU 2")]


def test_a_ring_that_was_full():
    """Who ran before the oldest event is known by the events themselves; a core that changes hands unseen is seen by them, too."""
    found = core(EVENTS[1:3] + EVENTS[6:], before=1234)
    assert ns(found.runs) == [(1100, 2100, "web vCPU 0"), (2100, 2250, "db vCPU 2")]


def test_an_exit_without_an_end():
    """It lasts until what is next, but what is injected is a part of it."""
    found = core([EVENTS[0], (6100, 0, EXIT, WEB, HLT, 0, 0), (6150, 0, INJECT, WEB, 0x202, 0, 0), (6400, 9999, EXIT, WEB, CPUID, 0, 0),
                  (6500, 0, EXIT, WEB, HLT, 0, 0)])
    assert ns(found.exits) == [(1100, 1400, "HLT"), (1400, 1500, "CPUID"), (1500, 1500, "HLT")]
    assert [each.name for each in found.instants] == ["NMI"]


def test_a_part():
    found = core(begin=1.12e-6, end=1.3e-6)
    assert ns(found.runs) == [(1120, 1300, "web vCPU 0")]
    assert ns(found.exits) == [(1120, 1140, "CPUID"), (1200, 1300, "HLT")] and len(found.instants) == 1


def test_other_clocks():
    """A TSC that isn't 1 GHz, and that is beyond what a float has digits for."""
    begin = 1 << 60
    found = core([(begin + 3, 6, EXIT, WEB, CPUID, 0, 0)], machine="version=1 vendor=vmx cores=1 hz=3000000000 tsc=%d ns=1" % begin)
    assert [(each.begin, each.end) for each in found.exits] == [(2000, 4000)]


def test_chrome():
    dump = read(log())
    found = json.loads(chrome(dump, timeline(dump)))["traceEvents"]
    assert [event["args"] for event in found if event["ph"] == "M"] == [{"name": "Keel (svm)"}, {"name": "core 0"}, {"sort_index": 0}]
    assert [event["name"] for event in found if event.get("cat") == "exit"] == ["CPUID", "HLT", "exit 999"]
    first, = [event for event in found if event["name"] == "CPUID"]
    assert (first["ph"], first["ts"], first["dur"], first["tid"]) == ("X", 1.1, 0.04, 0)
    assert first["args"] == {"vcpu": "web vCPU 0", "rip": "0x1000", "reason": "0x72", "info": "0x0"}
    assert [event["args"] for event in found if event.get("cat") == "run"] == [{"left": "halted"}, {}]
    times = [event["ts"] for event in found if event["ph"] != "M"]
    assert times == sorted(times)


def test_importers_take_all_of_it():
    """Slices are in one another as they are in time, at a clock whose ticks aren't whole nanoseconds, too."""
    ticks = [(7000, 0, RUN, WEB, 0, 0, 0)]
    for i in range(200):
        ticks += [(7001 + 701 * i, 100 + i, EXIT, WEB, CPUID, 0, 0), (7400 + 701 * i, 301, EXIT, WEB, HLT, 0, 0), (7450 + 701 * i, 0, INJECT, WEB, 0x31, 0, 0),
                  (7701 + 701 * i, 0, LEAVE, WEB, 0, 0, 0), (7702 + 701 * i, 0, RUN, WEB, 0, 0, 0)]
    for hz in (1000000000, 2893201000, 3000000000):
        dump = read(log(ticks, machine="version=1 vendor=svm cores=1 hz=%d tsc=6999 ns=4000" % hz))
        assert faults_of(chrome(dump, timeline(dump))) == []


@pytest.mark.parametrize("old, new, sentence", [
    ('"ph": "X"', '"ph": "B"', "ph='B' isn't one of ours"),
    ('"dur": 0.04, ', "", "there is no dur"),
    ('"dur": 0.04', '"dur": 0.0401', "not in whole nanoseconds"),
    ('"dur": 0.04', '"dur": 9', "event 4: ends behind the one that it is in, on track 0"),
    ('"dur": 0.04', '"dur": -1', "dur=-1 is no number from 0 on"),
    ('"ts": 1.2,', '"ts": 1.05,', "before the one that it follows on track 0"),
    ('"name": "CPUID"', '"name": ""', "name='' is no word"),
    ('"s": "t"', '"s": "x"', "s='x' is no scope"),
    ("thread_name", "name", "metadata that names nothing"),
    ('"ph": "M", "pid": 1000, "tid": 0', '"ph": "M", "pid": 1000, "tid": 9', "track 0 has no name"),
    ("]}", "", "this is no trace"),
])
def test_what_importers_object_to(old, new, sentence):
    dump = read(log())
    text = chrome(dump, timeline(dump))
    assert old in text and faults_of(text) == []
    assert [fault for fault in faults_of(text.replace(old, new, 1)) if sentence in fault]


def test_ports():
    """Which port it was, by the two vendors' words for it."""
    for vendor, name, info, port in (("svm", "I/O", 0x610211, "in 0x61"), ("vmx", "I/O instruction", 0x3f80000, "out 0x3f8")):
        text = log([(6000, 1, EXIT, WEB, 5, info, 0)], machine="version=1 vendor=%s cores=1 hz=1000 tsc=0 ns=0" % vendor,
                   more='keel| trace=exit reason=5 name="%s"' % name)
        dump = read(text)
        event, = [event for event in json.loads(chrome(dump, timeline(dump)))["traceEvents"] if event.get("cat") == "exit"]
        assert event["args"]["port"] == port


def test_picture():
    """All that is to be seen is in it, and a name can't break it."""
    text = picture("Keel <svm>", timeline(read(log().replace("name=web", 'name="a<b"'))))
    assert "Keel &lt;svm&gt;" in text and "CPUID: 1, 40 ns in the mean" in text and "a&lt;b vCPU 0" in text and "core 0" in text
    many = core([(6000 + 10 * i, 2, EXIT, WEB, CPUID, 0, 0) for i in range(20000)])
    assert len(picture("many", {0: many})) < 400000
    assert picture("nothing", {0: core([])}).startswith("<svg")


def test_the_last_dump_counts():
    assert len(core(EVENTS[:1], more=log(EVENTS[:2])).exits) == 1


@pytest.mark.parametrize("text, sentence", [
    ("", "there is no dump in it"),
    ("keel[0.1] event=boot\n\x00\xff", "there is no dump in it"),
    (log(end=False), "isn't complete"),
    (log(machine="version=2"), "line 3: version 2; this reads version 1"),
    (log(machine="version=1 vendor=svm"), "line 3: there is no hz="),
    (log(machine="version=1 hz=0 tsc=0 ns=0"), "line 3: hz=0 is no rate"),
    (log(machine="version=1 hz=fast tsc=0 ns=0"), "line 3: hz=fast is no number"),
    (log(announced=9), "core 0 has 8 events, and 9 were announced"),
    (log().replace("first=3", "first=4"), "line 12: a line of core 0 is missing: first=4, and not 3"),
    (log().replace("trace=events core=0", "trace=events core=1"), "line 10: events of core 1, which wasn't announced"),
    (log().replace("hex=", "hex=0"), "line 10: hex= doesn't have events of 32 bytes each"),
    (log().replace("hex=", "hex=zz"), "line 10: hex= doesn't"),
    (log(EVENTS[::-1]), "core 0: an event comes before the one that it follows"),
    (log([(1, 0, 7, WEB, 0, 0, 0)]), "there is no event of kind 7"),
    (log(more="keel| trace=colour"), "trace=colour isn't known"),
])
def test_bad_logs(text, sentence):
    with pytest.raises(BadDump) as problem:
        read(text)
    assert sentence in str(problem.value)


def run(*arguments):
    return subprocess.run([sys.executable, os.path.join(TESTS, "trace"), *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_program(tmp_path):
    path, out, svg = (str(tmp_path / name) for name in ("serial.log", "out.json", "out.svg"))
    with open(path, "w") as file:
        file.write(log())
    done = run(path, "-o", out, "--svg", svg)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", out + ": 3 exits on 1 cores\n")
    with open(out) as file:
        assert len(json.load(file)["traceEvents"]) == 10
    assert os.path.getsize(svg) > 1000
    for arguments, sentence in (([path, "--from", "5"], "there are no events at that time"), ([str(tmp_path / "none")], "No such file")):
        done = run(*arguments, "-o", out)
        assert done.returncode == 2 and sentence in done.stderr and done.stderr.count("\n") == 1
