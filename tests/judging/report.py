"""Where the results go: TAP as verdicts come, each VM's log apart, TAP and JUnit files at the end."""
import os
import sys

import results
from judging.stream import KEEL, plain

TAIL = 12   # lines of a VM's log that are shown when it failed


class Report:
    def __init__(self, name, directory, count):
        self.name = name
        self.directory = directory
        self.count = count      # of the cases that will be
        self.cases = []         # as results.py has them
        self.logs = {}
        self.tails = {}
        self.crash = None       # the name of a VM whose crash is being reported
        os.makedirs(directory, exist_ok=True)
        self.clear()

    def clear(self):
        """What an earlier run left would be taken for this one's."""
        for name in os.listdir(self.directory):
            if name.endswith((".log", ".crash")) or name in ("judge.tap", "judge.xml"):
                os.unlink(os.path.join(self.directory, name))

    def path(self, name):
        return os.path.join(self.directory, name)

    def begin(self):
        print("TAP version 13\n1..%d" % self.count, flush=True)

    def write(self, file, text):
        if file not in self.logs:
            self.logs[file] = open(self.path(file), "w", buffering=1, encoding="utf-8", errors="replace", newline="")
        self.logs[file].write(text + "\n")

    def line(self, line):
        """A VM's lines without the names in front, Keel's as they are, a crash report into a file of its own, too."""
        source = line.source or KEEL
        text = line.whole if source == KEEL else line.text
        self.write(source + ".log", text)
        self.tails.setdefault(source, []).append(plain(text))
        del self.tails[source][:-TAIL]
        kind = line.event["event"] if line.event else None
        if kind == "crash":
            self.crash = line.event.get("vm")
        if self.crash and source == KEEL:
            self.write(self.crash + ".crash", line.whole)
        if kind == "crash-end":
            self.crash = None

    def verdict(self, verdict, seconds):
        message = "" if verdict.passed else "\n".join([verdict.reason] + ["| " + line for line in self.tails.get(verdict.name, [])])
        case = (verdict.name, "passed" if verdict.passed else "failed", seconds, message)
        self.cases.append(case)
        sys.stdout.write(results.tap_case(len(self.cases), case))
        if verdict.passed:
            print("# " + verdict.reason)
        sys.stdout.flush()

    def finish(self):
        """Returns whether all have passed."""
        for log in self.logs.values():
            log.close()
        results.write_tap(self.path("judge.tap"), self.cases)
        results.write_junit(self.path("judge.xml"), self.name, self.cases)
        failed = sum(case[1] == "failed" for case in self.cases)
        print("# %s; logs: %s" % (results.summary(len(self.cases) - failed, failed), os.path.relpath(self.directory)))
        return not failed
