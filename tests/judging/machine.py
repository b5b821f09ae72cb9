"""The machine under judgement: made from a keel.conf or an ISO, watched over its serial line, ended when all is decided."""
import os
import re
import select
import shutil
import subprocess
import tempfile
import time

import results
from backends import BACKENDS, backend
from judging.rules import BadRules
from judging.stream import Stream

TOP = results.TOP
BUILD_HINT = "run: make deps && make all"
QUIET = 0.5     # seconds without a byte, for QEMU: what has no end by then is looked at as it is
LINGER = 2.0    # seconds that the rest of a report is waited for when all is decided


def choose(name):
    """The class of the machine: what was asked for, or the best that works here."""
    if name and name not in BACKENDS:
        raise BadRules("there is no back end '%s'; there are %s" % (name, ", ".join(BACKENDS)))
    reasons = {kind: backend(kind).why_not() for kind in ([name] if name else BACKENDS)}
    for kind, reason in reasons.items():
        if reason is None:
            return backend(kind)
    raise BadRules("no back end works here: " + "; ".join("%s: %s" % pair for pair in reasons.items()))


def conf_names(path):
    """The VMs of a description. What else is in it, mkiso checks."""
    with open(path, encoding="utf-8", errors="replace") as file:
        return re.findall(r"^[ \t]*\[[ \t]*vm[ \t]+([\w.-]+)[ \t]*\]", file.read(), re.M)


def iso_names(path):
    """The same of an image that mkiso has made; None if there is no telling."""
    if not shutil.which("xorriso"):
        return None
    with tempfile.TemporaryDirectory() as directory:
        target = os.path.join(directory, "keel.conf")
        subprocess.run(["xorriso", "-osirrox", "on", "-indev", path, "-extract", "/boot/keel.conf", target],
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return conf_names(target) if os.path.exists(target) else None


def is_iso(path):
    """The volume descriptor of ISO 9660 is in sector 16."""
    with open(path, "rb") as file:
        file.seek(16 * 2048 + 1)
        return file.read(5) == b"CD001"


def names_in(path):
    if not os.path.isfile(path):
        raise BadRules("%s: there is no such file" % path)
    return iso_names(path) if is_iso(path) else conf_names(path)


def image_of(path, directory, settings):
    """The ISO to boot. In an image that is given, GRUB's menu has the options."""
    options = settings.get("options", "")
    if is_iso(path):
        if options:
            raise BadRules("options go with a keel.conf: those of an ISO are in its menu")
        return path
    if "guest_limit" in settings:
        options = "limit=%d %s" % (settings["guest_limit"], options)
    iso = os.path.join(directory, "machine.iso")
    command = [os.path.join(TOP, "iso", "mkiso"), path, iso, "-a", ("console=line " + options).strip()]
    if settings.get("firmware", "bios") == "bios":
        command += ["--platform", "bios"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    if done.returncode:
        lines = done.stdout.strip().split("\n")
        raise BadRules(*(line + ("" if "run make" not in line else "; " + BUILD_HINT) for line in lines))
    return iso


class Watch:
    """Reads a machine's serial line and passes it on until all is decided."""

    def __init__(self, machine, judge, report, limit):
        self.machine = machine
        self.judge = judge
        self.report = report
        self.limit = limit
        self.stream = Stream()
        self.began = time.monotonic()

    def left(self):
        return self.limit - (time.monotonic() - self.began)

    def tell(self, verdicts):
        for verdict in verdicts:
            self.report.verdict(verdict, time.monotonic() - self.began)

    def lines(self, lines):
        for line in lines:
            self.report.line(line)
            self.tell(self.judge.take(line))

    def read(self, timeout):
        """False at the end of the line, None if nothing came."""
        if not select.select([self.machine.serial], [], [], max(0.0, timeout))[0]:
            return None
        try:
            data = os.read(self.machine.serial.fileno(), 65536)
        except ConnectionResetError:
            data = b""
        self.machine.serial_log.write(data.decode(errors="replace"))
        self.lines(self.stream.feed(data))
        return bool(data)

    def quiet(self):
        pending = self.stream.pending()
        if pending:
            self.tell(self.judge.take(pending))
        self.tell(self.judge.quiet())

    def run(self):
        """Returns the last verdicts when it is over."""
        quiet = self.machine.seconds(QUIET)
        going = True
        while going and not self.judge.done:
            came = self.read(min(quiet, self.left()))
            going = came is not False
            if came is None:
                self.quiet()
            if self.left() <= 0:
                self.tell(self.judge.limit(self.limit))
        if going:
            self.linger(quiet)
        else:
            self.gone()
        self.tell(self.judge.finish())

    def linger(self, quiet):
        end = time.monotonic() + self.machine.seconds(LINGER)
        while time.monotonic() < end and self.read(quiet):
            pass

    def gone(self):
        self.lines(self.stream.end())
        status = self.machine.wait(self.machine.seconds(20))
        self.tell(self.judge.end("the machine went away (status %s; see %s)" % (
            status, os.path.relpath(self.machine.log_path("emulator")))))
