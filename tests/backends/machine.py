"""What every machine has: a serial line to talk over, a log of it, a time limit, an end.

A machine is an emulator's process of our own. It is ended by its own pid, dies with us, and never outlives its limit.
"""
import ctypes
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time

import pexpect
import pexpect.fdpexpect

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LOGS = os.path.join(TOP, "build", "logs")


class MachineError(AssertionError):
    """The machine did not do what was waited for; carries the end of its serial output."""


def die_with_parent():
    """Runs in the child: if we are killed, the kernel ends the emulator too (prctl PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Machine:
    """Options that every back end takes:

    iso       the image to boot
    cores     of the machine
    memory    in MiB
    cpu       model, None for the back end's own choice
    counted   time is the number of instructions executed, and the same in every run
    label     the name of its log files below build/logs/
    limit     seconds after which it is killed
    """

    name = None         # as on the command line
    vendor = None       # what event=boot must say: "vmx" or "svm"; None: that of the host
    pace = 1.0          # how much longer things take than under QEMU; timeouts are multiplied with it
    real_time = True    # whether its clock runs with the host's

    def __init__(self, iso, cores=1, memory=1024, cpu=None, counted=False, label="machine", limit=600, **options):
        self.iso = os.path.abspath(iso)
        self.cores = cores
        self.memory = memory
        self.cpu = cpu
        self.counted = counted
        self.limit = limit
        self.options = options
        self.label = "%s.%s" % (label, self.name)
        self.process = None
        self.serial = None
        self.input = None       # the descriptor to write to, if it isn't the one that is read
        self.typed = False      # something was sent to it: when it came is the host's doing, whoever counts the time
        self.timer = None
        self.timed_out = False
        self.directory = None
        self.status = None

    # What a back end says of itself.

    @classmethod
    def cores_to_run(cls):
        """How many cores are best if somebody just wants to use it."""
        return min(4, os.cpu_count() or 1)

    @classmethod
    def why_not(cls):
        """None if this machine can be started here, else the reason why it cannot."""
        return None

    def command(self):
        """The emulator's command line. Called after listen()."""
        raise NotImplementedError

    def connect(self):
        """Starts the process and returns the file descriptor of the serial line, which is then ours to close."""
        raise NotImplementedError

    def switched_off(self):
        """After the end: whether the machine was switched off by its software, rather than killed or reset."""
        raise NotImplementedError

    def outcome(self):
        """After the end: "clean" (every VM stopped cleanly), "failed" (Keel says that something did) or "died"."""
        if not self.switched_off():
            return "died"
        return "clean" if re.findall(r"event=poweroff status=(-?\d+)", self.output())[-1:] == ["0"] else "failed"

    # Life.

    def log_path(self, kind):
        return os.path.join(LOGS, "%s.%s" % (self.label, kind))

    def start(self):
        os.makedirs(LOGS, exist_ok=True)
        self.directory = tempfile.mkdtemp(prefix="keel-machine.")
        self.serial_log = open(self.log_path("serial"), "w", buffering=1, encoding="utf-8", newline="")
        self.timer = threading.Timer(self.limit, self.expire)
        self.timer.daemon = True
        self.timer.start()
        self.started = time.monotonic()
        try:
            descriptor = self.connect()
        except BaseException:
            self.kill()
            raise
        self.serial = pexpect.fdpexpect.fdspawn(descriptor, encoding="utf-8", codec_errors="replace", maxread=65536)
        self.serial.logfile_read = self.serial_log
        self.serial.delaybeforesend = None
        return self

    def spawn(self):
        with open(self.log_path("emulator"), "w") as log:
            self.process = subprocess.Popen(self.command(), cwd=self.directory, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=subprocess.STDOUT, preexec_fn=die_with_parent)

    def expire(self):
        self.timed_out = True
        self.kill_process()

    def kill_process(self):
        if self.process and self.process.poll() is None:
            self.process.kill()

    def kill(self):
        """Ends the machine if it is still there, and clears up. May be called at any time, and twice."""
        if self.timer:
            self.timer.cancel()
        self.kill_process()
        if self.process:
            self.status = self.process.wait()
        if self.serial:
            self.drain()
            self.serial.close()
            self.serial = None
        if self.input is not None:
            os.close(self.input)
            self.input = None
        if self.directory:
            shutil.rmtree(self.directory, ignore_errors=True)
            self.directory = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.kill()

    # Talking.

    def seconds(self, timeout):
        return (60 if timeout is None else timeout) * self.pace

    def expect(self, pattern, timeout=None):
        """Waits for a pattern (or the first of a list) in the serial output; returns the match.

        The timeout is for QEMU and is stretched for slower machines.
        """
        patterns = pattern if isinstance(pattern, list) else [pattern]
        try:
            self.serial.expect(patterns, timeout=self.seconds(timeout))
        except (pexpect.TIMEOUT, pexpect.EOF) as problem:
            what = "said nothing of that within %g s" % self.seconds(timeout)
            if isinstance(problem, pexpect.EOF):
                what = "ended (status %s of its process)" % self.wait(5)
            if self.timed_out:
                what = "was killed after its limit of %g s" % self.limit
            raise MachineError("waited for %s; the machine %s. The end of its output (%s):\n%s"
                               % (" or ".join(map(repr, patterns)), what, self.log_path("serial"), self.tail())) from None
        return self.serial.match

    def write(self, data):
        self.typed = True
        os.write(self.serial.fileno() if self.input is None else self.input, data)

    def send(self, text):
        self.write(text.encode())

    def drain(self):
        """Reads what is left of the output, so that the log is whole."""
        try:
            self.serial.expect([pexpect.EOF], timeout=2)
        except (pexpect.TIMEOUT, pexpect.EOF, OSError):
            pass

    def finish(self, timeout=None):
        """Waits until the machine ends by itself; returns the status of its process."""
        self.expect(pexpect.EOF, timeout)
        if self.wait(self.seconds(20)) is None:
            raise MachineError("the serial line is closed, but the emulator's process goes on")
        if self.timed_out:
            raise MachineError("the machine was killed after its limit of %g s:\n%s" % (self.limit, self.tail()))
        return self.status

    def wait(self, seconds):
        """The status of the emulator's process, or None if it is still there after that time."""
        try:
            self.status = self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            pass
        return self.status

    def output(self):
        """All that came over the serial line up to now."""
        with open(self.log_path("serial"), encoding="utf-8", errors="replace", newline="") as log:
            return log.read()

    def look(self):
        """What its cores are at, for people; "" where that can't be asked."""
        return ""

    def ending(self):
        """In a few words, how it ended and what crashed on it."""
        crashes = re.findall(r"event=crash [^\r\n]*", self.output())
        ended = "running" if self.process and self.process.poll() is None else "status %s" % self.status
        return ", ".join([ended] + crashes)

    def tail(self, lines=40):
        text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.output()).replace("\r", "")
        return "\n".join("    | " + line for line in text.split("\n")[-lines:])
