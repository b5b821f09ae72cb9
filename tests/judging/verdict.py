"""Verdicts on VMs, and on Keel itself, from the lines of the stream. Pure: no clock, no files."""
from collections import deque, namedtuple

from judging.rules import unknown
from judging.stream import KEEL, plain

# name: a VM's, or KEEL; reason: in words; seconds: Keel's clock
Verdict = namedtuple("Verdict", "name passed reason seconds")

SHOWN = 160     # characters of a line in a reason
REMARKS = 200   # lines


def quote(text):
    text = plain(text).strip()
    return text if len(text) <= SHOWN else text[:SHOWN] + "..."


class VmJudge:
    """One VM. `verdict` is None until there is one, and is never changed then."""

    def __init__(self, rules):
        self.rules = rules
        self.verdict = None     # (passed, reason)
        self.seen = 0           # patterns of `expect`
        self.place = 0          # in the current line, behind what the last of them matched
        self.crash = None       # why it crashed
        self.ran = False

    def decide(self, passed, reason):
        if self.verdict is None:
            self.verdict = (passed, reason)

    @property
    def missing(self):
        """What is still to be seen, in words, or None."""
        if self.seen == len(self.rules.expect):
            return None
        return "expected /%s/ (%d of %d)" % (self.rules.expect[self.seen].pattern, self.seen + 1, len(self.rules.expect))

    @property
    def content(self):
        """It is to run on, and nothing else is missing."""
        return self.rules.end == "running" and not self.missing

    def line(self, text, resumed):
        if self.verdict:
            return
        text = plain(text)
        for pattern in self.rules.forbid:
            if pattern.search(text):
                self.decide(False, "forbidden /%s/: %s" % (pattern.pattern, quote(text)))
        if not resumed:
            self.place = 0
        while self.missing:
            match = self.rules.expect[self.seen].search(text, self.place)
            if not match:
                return
            self.place = match.end()
            self.seen += 1
        if self.rules.expect and self.rules.end == "any":
            self.decide(True, "all that was expected was seen")

    def event(self, event):
        kind = event["event"]
        if self.verdict:
            return
        if kind == "crash":
            self.crash = event.get("reason", "no reason given")
        elif kind == "crash-end":
            self.crashed()
        elif kind == "drop" and not self.rules.drops:
            self.decide(False, "lost output: it wrote faster than the console takes, and some of it was dropped")
        elif kind == "vm":
            self.state(event)

    def state(self, event):
        state, reason = event.get("state"), event.get("reason", "")
        if state == "running":
            self.ran = True
        elif state == "crashed" or (state == "restarting" and reason == "crash"):
            self.crash = self.crash or "no report"
            self.crashed()
        elif state == "stopped":
            self.stopped(reason, event.get("status", "?"))

    def crashed(self):
        if self.rules.end != "crashed":
            self.decide(False, "crashed: " + self.crash)
        elif self.missing:
            self.decide(False, "crashed (%s) before %s" % (self.crash, self.missing))
        else:
            self.ended("crashed: " + self.crash, self.crash)

    def stopped(self, reason, status):
        how = "stopped (%s, status %s)" % (reason, status)
        if self.rules.end == "crashed":
            self.decide(False, how + " instead of crashing")
        elif self.rules.end == "running":
            self.decide(False, how + " although it should run on")
        elif self.missing:
            self.decide(False, "%s before %s" % (how, self.missing))
        elif status != str(self.rules.status):
            self.decide(False, "%s instead of with status %d" % (how, self.rules.status))
        else:
            self.ended(how, reason)

    def ended(self, how, reason):
        """As it should, if the reason fits."""
        wanted = self.rules.reason
        if wanted and not wanted.search(reason):
            self.decide(False, "%s, but the reason should be /%s/" % (how, wanted.pattern))
        else:
            self.decide(True, how)

    def over(self, why, alive):
        """Nothing more is looked at; alive: it could go on."""
        if not self.ran:
            self.decide(False, why + ": it never ran")
        elif self.missing:
            self.decide(False, "%s before %s" % (why, self.missing))
        elif self.rules.end == "running":
            self.decide(alive, "still runs" if alive else why + " although it should run on")
        else:
            self.decide(False, "%s: it still runs and should have %s" % (why, self.rules.end))


class Judge:
    """All of a machine. take() gives the verdicts that a line brings, each once."""

    def __init__(self, vms, guest_limit=None):
        """vms: Rules by name."""
        self.vms = {name: VmJudge(rules) for name, rules in vms.items()}
        self.guest_limit = guest_limit
        self.given = set()      # names with a verdict that was handed out
        self.planned = []
        self.remarks = deque(maxlen=REMARKS)    # what Keel said last beside its events
        self.boots = 0
        self.panic = None
        self.fault = None       # of Keel itself
        self.closed = None      # why nothing more is to come
        self.seconds = 0.0

    def take(self, line):
        if line.source == KEEL:
            self.own(line)
        elif line.source in self.vms:
            self.vms[line.source].line(line.text, line.resumed)
        return self.news()

    def own(self, line):
        if line.seconds is not None:
            self.seconds = line.seconds
        if line.event:
            self.event(line.event)
        elif line.seconds is not None and not self.panic:
            self.remarks.append(line.text)
        if self.guest_limit and self.seconds > self.guest_limit:
            self.time_up()

    def time_up(self):
        self.close("time is up (%d s of Keel's clock)" % (self.guest_limit or self.seconds), alive=True)

    def event(self, event):
        kind = event["event"]
        if kind == "boot":
            self.boot()
        elif kind == "plan":
            self.planned.append(event.get("vm"))
        elif kind == "audit":
            self.plan_done()
            if event.get("result") != "ok":
                self.fault = self.fault or "the audit found %s faults" % event.get("faults", "some")
        elif kind == "panic":
            self.panic = self.panic or event.get("message", "no message")
        elif kind == "poweroff" and event.get("reason") == "limit":
            self.time_up()
        elif kind in ("idle", "poweroff"):
            self.plan_done()
            self.close("every VM has stopped" if kind == "idle" else "Keel switched the machine off")
        else:
            self.vm_event(self.vms.get(event.get("name", event.get("vm"))), event)

    def vm_event(self, judge, event):
        if judge and event.get("reason") == "failed":
            judge.decide(False, "could not be started: " + quote(self.remarks[-1] if self.remarks else "no reason given"))
        elif judge:
            judge.event(event)

    def boot(self):
        self.boots += 1
        if self.boots > 1:
            self.fault = self.fault or "the machine was reset: Keel booted again"
            self.close("the machine was reset")

    def plan_done(self):
        """Who isn't in the plan never runs."""
        for name, judge in self.vms.items():
            if name not in self.planned:
                judge.decide(False, self.why_not(name))

    def why_not(self, name):
        """What Keel says of a VM that it doesn't start; what it says of keel.conf may not name the VM."""
        named = [remark for remark in self.remarks if name in remark.replace("=", " ").replace("]", " ").replace(":", " ").split()]
        said = named or [remark for remark in self.remarks if remark.startswith("keel.conf:")]
        return "not started: " + quote(said[0]) if said else unknown(name, self.planned)

    def quiet(self):
        """The machine has nothing more to say for the moment: the report of a panic is complete."""
        if self.panic:
            self.close("Keel panicked (%s)" % self.panic)
        return self.news()

    def end(self, how):
        """The machine is gone."""
        if not self.boots:
            said = self.remarks[-1] if self.remarks else ""
            self.fault = self.fault or "%s before Keel said that it booted%s" % (how, said and ": " + quote(said))
        self.close("Keel panicked (%s)" % self.panic if self.panic else how)
        return self.news()

    def limit(self, seconds):
        self.close("time is up (%d s)" % seconds, alive=True)
        return self.news()

    def close(self, why, alive=False):
        """Everything that is open is decided by this."""
        self.closed = self.closed or why
        for judge in self.vms.values():
            judge.over(self.closed, alive)

    @property
    def settled(self):
        """Those that are to run on wait for the others, or, if there are none, for the end of the time."""
        waiting = [judge for judge in self.vms.values() if judge.verdict is None]
        return all(judge.content for judge in waiting) and len(waiting) < max(1, len(self.vms))

    @property
    def done(self):
        return self.closed is not None or (self.settled and not self.panic)

    def news(self):
        fresh = [name for name, judge in self.vms.items() if judge.verdict and name not in self.given]
        self.given.update(fresh)
        return [Verdict(name, *self.vms[name].verdict, self.seconds) for name in fresh]

    def finish(self):
        """When the machine was ended: the last verdicts, Keel's own among them."""
        self.close("the others have their verdicts", alive=True)
        good = not self.panic and not self.fault
        reason = "panicked: " + self.panic if self.panic else self.fault or "no panic"
        return self.news() + [Verdict(KEEL, good, reason, self.seconds)]
