"""The results of one suite: printed as they come, written as TAP and JUnit files below build/results/, summed up."""
import glob
import os
import re
import sys
import threading
import xml.etree.ElementTree as xml

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
RESULTS = os.path.join(TOP, "build", "results")
FIRST = "system-err"    # JUnit's element for what a test said at first that passed when it was run again


class Results:
    def __init__(self, suite):
        self.suite = suite
        self.cases = []     # (name, state, seconds, message); state is passed, failed or skipped
        self.lock = threading.Lock()

    def add(self, name, passed, seconds=0.0, message="", skipped=False):
        state = "skipped" if skipped else "passed" if passed else "failed"
        with self.lock:
            self.cases.append((name, state, seconds, message))
            print("%-8s %s%s" % (state, name, " (%s)" % message if skipped else ""), flush=True)
            if state == "failed" and message:
                print("".join("    | %s\n" % line for line in message.rstrip().split("\n")[-40:]), end="", flush=True)

    def count(self, state):
        return sum(1 for case in self.cases if case[1] == state)

    def finish(self):
        """Writes the files, prints the last line; returns the exit status."""
        os.makedirs(RESULTS, exist_ok=True)
        write_junit(os.path.join(RESULTS, self.suite + ".xml"), self.suite, self.cases)
        write_tap(os.path.join(RESULTS, self.suite + ".tap"), self.cases)
        print(summary(self.count("passed"), self.count("failed"), self.count("skipped")))
        return 1 if self.count("failed") or not self.count("passed") else 0


def printable(text):
    """XML has no way to write most control characters."""
    return re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd]", "?", text)


def summary(passed, failed, skipped=0):
    return "%d passed, %d failed%s" % (passed, failed, ", %d skipped" % skipped if skipped else "")


def write_junit(path, suite, cases):
    states = [case[1] for case in cases]
    root = xml.Element("testsuite", name=suite, tests=str(len(cases)), errors="0", failures=str(states.count("failed")),
                       skipped=str(states.count("skipped")))
    for name, state, seconds, message in cases:
        case = xml.SubElement(root, "testcase", classname=suite, name=name, time="%.3f" % seconds)
        if state != "passed":
            tag = "failure" if state == "failed" else "skipped"
            xml.SubElement(case, tag, message=printable(message)[:200]).text = printable(message)
    xml.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def count_states(root):
    root.set("tests", str(len(root)))
    for attribute, tag in (("errors", "error"), ("failures", "failure"), ("skipped", "skipped")):
        root.set(attribute, str(len(root.findall("testcase/" + tag))))


def merge_junit(path, suite, parts):
    """One file of what several processes have left, by the files of their tests."""
    root = xml.Element("testsuite", name=suite)
    for part in parts:
        root.extend(xml.parse(part).getroot().iter("testcase"))
    root[:] = sorted(root, key=lambda case: case.get("classname"))
    count_states(root)
    xml.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def tap_case(number, case):
    """The lines of one case."""
    name, state, _, message = case
    skip = " # SKIP " + message.split("\n")[0] if state == "skipped" else ""
    text = "%s %d - %s%s\n" % ("not ok" if state == "failed" else "ok", number, name, skip)
    return text + "".join("# %s\n" % line for line in message.split("\n") if state == "failed")


def write_tap(path, cases):
    with open(path, "w", encoding="utf-8") as tap:
        tap.write("TAP version 13\n1..%d\n" % len(cases))
        for number, case in enumerate(cases, 1):
            tap.write(tap_case(number, case))


def fault_of(case):
    """What is wrong with a case, or None."""
    return next((element for element in map(case.find, ("failure", "error")) if element is not None), None)


def read_junit(path):
    """The cases of a JUnit file, pytest's included."""
    cases = []
    for case in xml.parse(path).getroot().iter("testcase"):
        bad = fault_of(case)
        skip = case.find("skipped")
        state = "failed" if bad is not None else "skipped" if skip is not None else "passed"
        detail = bad if bad is not None else skip
        # A failure's text is the whole of it, its message only the first line; of a skip the message is the reason.
        said = [] if detail is None else [detail.get("message"), detail.text]
        message = next((text for text in (reversed(said) if bad is not None else said) if text), "")
        cases.append((case.get("name"), state, float(case.get("time", 0)), message))
    return cases


def failed_tests(path):
    """pytest's names of those that failed in a JUnit file, but for those that the host's speed has nothing to do with."""
    for case in xml.parse(path).getroot().iter("testcase"):
        counted = any(each.get("name") == "counted" for each in case.iter("property"))
        if fault_of(case) is not None and not counted:
            yield case.get("classname").replace(".", "/") + ".py::" + case.get("name")


def replace_failures(path, again):
    """Of tests that were run again a JUnit file gets the second result, with what was said at first if that was another one."""
    tree = xml.parse(path)
    root = tree.getroot()
    seconds = {(case.get("classname"), case.get("name")): case for case in xml.parse(again).getroot().iter("testcase")}
    for at, case in enumerate(root):
        second = seconds.get((case.get("classname"), case.get("name")))
        first = fault_of(case)
        if second is None or first is None:
            continue
        if fault_of(second) is None:
            xml.SubElement(second, FIRST).text = first.text or first.get("message")
        root[at] = second
    count_states(root)
    tree.write(path, encoding="utf-8", xml_declaration=True)


def second_runs():
    """What passed only when it was run again: its suite, its name and the last line of what it said at first."""
    for path in sorted(glob.glob(os.path.join(RESULTS, "*.xml"))):
        for case in xml.parse(path).getroot().iter("testcase"):
            if case.find(FIRST) is not None:
                yield os.path.splitext(os.path.basename(path))[0], case.get("name"), case.find(FIRST).text.rstrip().split("\n")[-1]


def clear():
    for path in glob.glob(os.path.join(RESULTS, "*.xml")) + glob.glob(os.path.join(RESULTS, "*.tap")):
        os.unlink(path)


def failures(lines=15):
    """What failed in all JUnit files: for each test its file's suite, its name and the last lines of what it said."""
    for path in sorted(glob.glob(os.path.join(RESULTS, "*.xml"))):
        suite = os.path.splitext(os.path.basename(path))[0]
        for name, state, _, message in read_junit(path):
            if state == "failed":
                yield suite, name, message.rstrip().split("\n")[-lines:]


def totals():
    """(passed, failed, skipped) over all JUnit files."""
    states = [case[1] for path in sorted(glob.glob(os.path.join(RESULTS, "*.xml"))) for case in read_junit(path)]
    return tuple(states.count(state) for state in ("passed", "failed", "skipped"))


def die(message):
    sys.exit("%s: %s" % (os.path.basename(sys.argv[0]), message))
