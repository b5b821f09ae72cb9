"""What is wanted of each VM: read from a file and from the command line, with a sentence for everything that is wrong.

The file is INI, one [judge] section and one for each VM that is to be judged. A line is `key = value`; a line that begins
with # is a comment (elsewhere it belongs to the value: patterns may have one). Patterns are Python's regular expressions.
"""
import re

ENDS = ("any", "stopped", "crashed", "running")


class BadRules(Exception):
    """Its arguments are sentences, one for each mistake."""


class Rules:
    """Of one VM."""

    def __init__(self, name):
        self.name = name
        self.expect = []        # patterns, to be seen in this order
        self.forbid = []        # patterns, none of which may be seen
        self.end = None         # one of ENDS
        self.status = None      # with which it has to stop
        self.reason = None      # a pattern for the reason of its stop or crash
        self.drops = False      # whether it may lose output

    def complete(self):
        """Fills in what follows from the rest."""
        if self.end is None:
            asked = self.status is not None or self.reason is not None or not self.expect
            self.end = "stopped" if asked else "any"
        if self.status is not None and self.end != "stopped":
            raise ValueError("status goes with end = stopped alone")
        if self.reason is not None and self.end not in ("stopped", "crashed"):
            raise ValueError("reason goes with end = stopped or crashed alone")
        if self.status is None and self.end == "stopped":
            self.status = 0


def pattern(value):
    if not value:
        raise ValueError("a pattern is missing")
    try:
        return re.compile(value)
    except re.error as problem:
        raise ValueError("'%s' is no regular expression: %s" % (value, problem)) from None


def choice(*values):
    def read(value):
        if value not in values:
            raise ValueError("takes %s, not '%s'" % (", ".join(values[:-1]) + " or " + values[-1], value))
        return value
    return read


def number(lowest, highest):
    def read(value):
        if not re.fullmatch("-?[0-9]+", value) or not lowest <= int(value) <= highest:
            raise ValueError("takes a number from %d to %d, not '%s'" % (lowest, highest, value))
        return int(value)
    return read


def allow(value):
    return choice("fail", "allow")(value) == "allow"


VM_KEYS = {"expect": pattern, "forbid": pattern, "end": choice(*ENDS), "status": number(-2 ** 31, 2 ** 31 - 1),
           "reason": pattern, "drops": allow}
SETTINGS = {"backend": str, "cores": number(1, 255), "memory": number(64, 1 << 20), "limit": number(1, 10 ** 7),
            "guest_limit": number(1, 10 ** 7), "firmware": choice("bios", "ovmf"), "options": str}


class RuleSet:
    """All VMs that are judged, in order, and how the machine is to be."""

    def __init__(self):
        self.vms = {}
        self.settings = {}
        self.where = {}     # of a VM: where it is first spoken of
        self.faults = []

    def set(self, where, name, key, value):
        """A key of a VM."""
        try:
            if key not in VM_KEYS:
                raise ValueError("there is no key '%s'; there are %s" % (key, ", ".join(VM_KEYS)))
            read = VM_KEYS[key](value)
        except ValueError as problem:
            self.faults.append("%s: %s" % (where, problem_with(key, problem)))
            return
        rules = self.add(where, name)
        if key in ("expect", "forbid"):
            getattr(rules, key).append(read)
        else:
            setattr(rules, key, read)

    def add(self, where, name):
        self.where.setdefault(name, where)
        return self.vms.setdefault(name, Rules(name))

    def set_machine(self, where, key, value):
        try:
            if key not in SETTINGS:
                raise ValueError("there is no key '%s'; there are %s" % (key, ", ".join(SETTINGS)))
            self.settings[key] = SETTINGS[key](value)
        except ValueError as problem:
            self.faults.append("%s: %s" % (where, problem_with(key, problem)))

    def read(self, path):
        try:
            with open(path, encoding="utf-8") as file:
                lines = file.read().split("\n")
        except (OSError, UnicodeDecodeError) as problem:
            raise BadRules("%s: %s" % (path, getattr(problem, "strerror", None) or "is no text")) from None
        section = None
        for place, line in enumerate(lines, 1):
            section = self.read_line("%s:%d" % (path, place), section, line.strip())

    def read_line(self, where, section, line):
        """Returns the section that is read: "judge", ("vm", NAME), or None after a bad one."""
        key, equals, value = (part.strip() for part in line.partition("="))
        if not line or line.startswith("#"):
            return section
        if line.startswith("["):
            return self.read_section(where, line)
        if section is None:
            if not self.faults:
                self.faults.append("%s: '%s' stands before the first section" % (where, line))
        elif not equals:
            self.faults.append("%s: '%s' is neither a [section] nor key = value" % (where, line))
        elif section == "judge":
            self.set_machine(where, key, value)
        else:
            self.set(where, section[1], key, value)
        return section

    def read_section(self, where, line):
        vm = re.fullmatch(r"\[\s*vm\s+([\w.-]+)\s*\]", line)
        if re.fullmatch(r"\[\s*judge\s*\]", line):
            return "judge"
        if not vm:
            self.faults.append("%s: there is no section %s, only [judge] and [vm NAME]" % (where, line))
            return None
        if vm[1] in self.vms:
            self.faults.append("%s: there is a section for %s already" % (where, vm[1]))
        self.add(where, vm[1])
        return "vm", vm[1]

    def argument(self, key, text):
        """NAME:VALUE of a command line."""
        name, colon, value = text.partition(":")
        if not colon or not re.fullmatch(r"[\w.-]+", name):
            self.faults.append("--%s %s: VM:VALUE is wanted" % (key, text))
            return
        self.set("--%s %s" % (key, text), name, key, value)

    def finish(self, names):
        """names: of the VMs that there are; None: not known before the boot. Raises BadRules for all that is wrong."""
        for name, rules in self.vms.items():
            try:
                rules.complete()
            except ValueError as problem:
                self.faults.append("%s: %s: %s" % (self.where[name], name, problem))
            if names is not None and name not in names:
                self.faults.append("%s: %s" % (self.where[name], unknown(name, names)))
        if not self.vms and not self.faults:
            self.faults.append("no VM is judged: say what is wanted in a [vm NAME] section or by --expect NAME:PATTERN")
        if self.faults:
            raise BadRules(*self.faults)


def problem_with(key, problem):
    """Names the key where the sentence goes on from it."""
    return "%s%s" % (key + " " if str(problem).startswith("takes") else "", problem)


def unknown(name, names):
    return "there is no VM '%s'; there %s" % (name, "are " + ", ".join(names) if len(names) > 1
                                              else "is " + names[0] if names else "are none")
