"""What the README tells a newcomer to type, through a terminal of 80 columns: `make run`, two shells, the monitor, the end."""
import os

import images
import pexpect
import pytest

pytestmark = pytest.mark.cores_at_once

PAYLOAD = os.path.join(images.PAYLOADS, "exits.bz")


@pytest.fixture
def run(kind, tmp_path):
    """Starts `make run` with some variables; returns the terminal."""
    terminals = []

    def start(*variables):
        # Not what the make that runs these tests was given.
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS", "GNUMAKE"))}
        terminal = pexpect.spawn("make", ["run", "BACKEND=" + kind.name] + list(variables), cwd=images.TOP, env=environment,
                                 dimensions=(24, 80), encoding="utf-8", codec_errors="replace", timeout=60 * kind.pace)
        terminal.logfile_read = open(tmp_path / "terminal", "a")
        terminals.append(terminal)
        return terminal

    yield start
    for terminal in terminals:
        terminal.close(force=True)


def ended(terminal):
    """The status of `make run`, which goes with the machine."""
    terminal.expect(pexpect.EOF)
    terminal.close()
    return terminal.exitstatus


def typed(terminal, name, command, answer):
    """A command in the shell of a VM, at its prompt."""
    terminal.send(command + "\r")
    terminal.expect(r"\n%s\r" % answer)
    terminal.expect(name + ":/ # ")


def go_to(terminal, name):
    terminal.expect("keel> ")
    terminal.send("console %s\r" % name)
    for _ in range(20):
        terminal.send("\r")
        if terminal.expect([name + ":/ # ", pexpect.TIMEOUT], timeout=10) == 0:
            return
    pytest.fail("no prompt of " + name)


def test_demo(kind, run):
    terminal = run()
    terminal.expect("run: %s .*as asked for" % kind.name)
    terminal.expect(r"event=vm name=one state=running")
    terminal.expect(r"this is VM one\. Ctrl-\] for Keel's prompt: console two, help, quit\r\n", timeout=300)
    terminal.expect("one:/ # ", timeout=120 * kind.pace)
    for name in ("one", "two"):
        if name == "two":
            terminal.send("\x1d")
            go_to(terminal, name)
        typed(terminal, name, "nproc", 2)
        typed(terminal, name, "cat /sys/devices/system/cpu/online", "0-1")
        typed(terminal, name, "echo this is $(hostname)", "this is " + name)
    terminal.send("poweroff\r")
    terminal.expect(r"console: two has gone; `console NAME` leads to another VM, `quit` switches the machine off\r\n")
    terminal.expect(r"event=vm name=two state=stopped reason=poweroff status=0\r\n")
    go_to(terminal, "one")
    terminal.send("poweroff\r")
    terminal.expect(r"event=vm name=one state=stopped reason=poweroff status=0\r\n")
    terminal.expect(r"event=poweroff status=0\r\n")
    terminal.expect(r"run: the machine is off \(status %s\)" % ("33" if kind.vendor == "svm" else r"\d+"))
    assert ended(terminal) == 0


def own_conf(tmp_path, memory="32M"):
    path = tmp_path / "own.conf"
    path.write_text("[vm mine]\nkernel = %s\nmemory = %s\ncmdline = fault=spin\n" % (PAYLOAD, memory))
    return "CONF=%s" % path


def test_own_conf_and_quit(run, tmp_path):
    terminal = run(own_conf(tmp_path), "MEMORY=128", "CORES=1")
    terminal.expect(r"this is VM mine\. Ctrl-\] for Keel's prompt: help, quit\r\n")
    terminal.expect("fault spin")
    terminal.send("\x1d")
    terminal.expect("keel> ")
    terminal.send("quit\r")
    terminal.expect("run: the machine is off")
    assert ended(terminal) == 0


def test_bad_conf(run, tmp_path):
    terminal = run(own_conf(tmp_path, "much"))
    terminal.expect(r"own\.conf:3: memory takes a size from 4M upwards, such as 512M or 2G, not 'much'")
    assert ended(terminal) != 0
