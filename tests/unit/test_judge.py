"""The judge's pure parts, fed with streams as Keel writes them, in whole and in pieces; and what it says of bad input."""
import os
import re
import subprocess
import sys

import pytest

TESTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path.insert(0, os.path.abspath(TESTS))

from judging.rules import BadRules, RuleSet     # noqa: E402
from judging.stream import KEEL, Stream         # noqa: E402
from judging.verdict import Judge               # noqa: E402

BOOT = """\
\x1b[0m\x1b[2J  Booting `Keel'\r
\rkeel[0.002000] event=boot version=0.1.0 firmware=bios vendor=svm cores=1 memory=1023M loader="GRUB 2.06"\r
keel[0.003000] event=cap cores=1 list=npt,xsave\r
keel[0.004000] event=plan vm=web vcpus=1 memory_mib=64 cmdline="a=1 vm=none b=\\"two words\\""\r
keel[0.004100] event=plan vm=db vcpus=1 memory_mib=64 cmdline=""\r
keel[0.005000] event=audit result=ok faults=0 vms=2 guest_mib=128\r
keel[0.006000] event=vm name=web state=running\r
keel[0.006100] event=vm name=db state=running\r
"""


def lines_of(text, size=None):
    """The lines of a stream that comes in pieces of this size."""
    stream, data = Stream(), text.encode()
    size = size or max(1, len(data))
    found = [line for at in range(0, len(data), size) for line in stream.feed(data[at:at + size])]
    return found + stream.end()


def rules(text):
    """Rules as from a file; VMs are set off by blanks: `web: expect=a forbid=b; db: end=stopped`."""
    found = RuleSet()
    for vm in text.split(";"):
        name, _, keys = vm.strip().partition(": ")
        found.add(name, name)
        for pair in keys.split():
            found.set(name, name, *pair.split("=", 1))
    found.finish(None)
    return found.vms


def judge(text, stream, limit=None, size=None, end=True):
    """The verdicts by name, as (passed, reason)."""
    judge = Judge(rules(text), limit)
    verdicts = []
    for line in lines_of(stream, size):
        if not judge.done:
            verdicts += judge.take(line)
    if end and not judge.done:
        verdicts += judge.end("the machine went away")
    verdicts += judge.finish()
    assert len({verdict.name for verdict in verdicts}) == len(verdicts) == len(judge.vms) + 1
    return {verdict.name: (verdict.passed, verdict.reason) for verdict in verdicts}


# The stream ------------------------------------------------------------------------------------------------------

def test_lines():
    lines = lines_of(BOOT + "web| a| b\r\ndb| \r\nkeel| vm=web state=running\r\n")
    assert [line.source for line in lines] == [None] + 7 * [KEEL] + ["web", "db", KEEL]
    assert lines[1].event["loader"] == "GRUB 2.06" and lines[1].seconds == 0.002
    assert lines[3].event["vm"] == "web" and lines[3].event["cmdline"] == 'a=1 vm=none b="two words"'
    assert [line.text for line in lines[8:]] == ["a| b", "", "vm=web state=running"]


def test_ports():
    """What comes from a port of a VM's virtio console isn't the VM's own output."""
    assert [line.source for line in lines_of(BOOT + "web.log| a\r\nweb| b\r\nweblog| c\r\n")[8:]] == ["web.log", "web", "web"]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_torn(size):
    """However the bytes come, the lines are the same; a character of several bytes is one."""
    text = BOOT + "web| gr\u00fc\u00dfe\r\ndb| x\r\nweb| last"
    assert lines_of(text, size) == lines_of(text)
    assert lines_of(text)[8].text == "gr\u00fc\u00dfe"


def test_bytes_that_are_no_text():
    stream = Stream()
    stream.feed(BOOT.encode())
    assert [line.source for line in stream.feed(b"web| \xff\xfe\r\n\xff\r\n")] == ["web", "web"]


def test_shown_again():
    """A line that others came into is shown once more from its start, longer; a line that is said twice isn't that."""
    lines = lines_of(BOOT + "web| log\r\ndb| x\r\nweb| login: \r\nweb| login: root\r\nweb| tick\r\ndb| y\r\nweb| tick\r\n")[8:]
    assert [line.resumed for line in lines] == [False, False, True, False, False, False, False]


def test_pending():
    """What has no end yet, and a prefix that is torn."""
    stream = Stream()
    stream.feed(BOOT.encode() + b"we")
    assert stream.pending() is None
    stream.feed(b"b| / # ")
    assert stream.pending().text == "/ # "
    assert stream.pending() is None
    line = stream.feed(b"ls\r\n")[0]
    assert (line.text, line.resumed) == ("/ # ls", True)
    assert not stream.feed(b"web| / # \r\n")[0].resumed


def test_focus():
    """Without prefixes it is the output of the VM that has the console."""
    lines = lines_of(BOOT + "Linux version 6\r\nodd| line\r\nkeel[1.0] a remark\r\n\r\nkeel> help\r\ndb| last words\r\n")[8:]
    assert [line.source for line in lines] == ["web", "web", KEEL, "web", KEEL, "db"]


def test_no_end():
    """A VM that never ends a line can't fill our memory."""
    stream = Stream()
    for _ in range(100):
        stream.feed(b"x" * 10000)
    assert len(stream.buffer) < 1 << 17


# Verdicts --------------------------------------------------------------------------------------------------------

def test_passes():
    said = "web| one\r\ndb| two\r\nweb| three\r\nkeel[2.0] event=vm name=db state=stopped reason=poweroff status=0\r\n"
    verdicts = judge("web: expect=one expect=three; db: expect=two end=stopped", BOOT + said, size=5)
    assert {name: passed for name, (passed, _) in verdicts.items()} == {"web": True, "db": True, KEEL: True}


def test_early_pass_ends_nobody():
    found = Judge(rules("web: expect=one; db: expect=two"))
    for line in lines_of(BOOT + "web| one\r\n"):
        found.take(line)
    assert found.vms["web"].verdict[0] and not found.done
    assert found.take(lines_of(BOOT + "db| two\r\n")[-1])[0].passed and found.done


def test_verdict_is_final():
    """Whatever else becomes of a VM while others are waited for."""
    for after in (END % ("exit", 3), CRASH % "triple fault", "web| BUG:\r\n", "keel[1.0] event=drop vm=web\r\n"):
        said = BOOT + "web| one\r\n" + after + "db| two\r\n"
        assert judge("web: expect=one forbid=BUG; db: expect=two", said)["web"] == (True, "all that was expected was seen")


@pytest.mark.parametrize("said, passed", [
    ("web| a\r\nweb| b\r\n", True), ("web| b\r\nweb| a\r\n", False), ("web| a b\r\n", True), ("web| b a\r\n", False),
    ("db| a\r\nweb| b\r\n", False), ("web| \x1b[1ma\x1b[0m\r\nweb| b\r\n", True), ("web| a\r\ndb| x\r\nweb| ab\r\n", True)])
def test_order(said, passed):
    assert judge("web: expect=a expect=b", BOOT + said)["web"][0] == passed


def test_shown_again_counts_once():
    """The same text of one line doesn't meet two patterns."""
    said = "web| tick\r\ndb| x\r\nweb| tick end\r\n"
    assert not judge("web: expect=tick expect=tick", BOOT + said)["web"][0]
    assert judge("web: expect=tick expect=tick", BOOT + said + "web| tick\r\n")["web"][0]


END = "keel[3.0] event=vm name=web state=stopped reason=%s status=%s\r\n"
CRASH = """\
keel[3.0] event=crash vm=web vcpu=0 reason="%s"\r
keel[3.1]  rip=0\r
keel[3.2] event=crash-end vm=web\r
keel[3.3] event=vm name=web state=crashed reason=crash status=1\r
"""
REFUSED = "keel[0.0041] event=plan vm=web vcpus=1\r\nkeel[0.0042] vm=db: it wants 9999 MiB of memory\r\n"

REASONS = [
    ("web: forbid=BUG: expect=ok", "web| a BUG: here\r\nweb| ok\r\n", False, "forbidden /BUG:/: a BUG: here"),
    ("web: expect=ok", END % ("poweroff", 0), False, "stopped (poweroff, status 0) before expected /ok/ (1 of 1)"),
    ("web: forbid=x", END % ("poweroff", 0), True, "stopped (poweroff, status 0)"),
    ("web: end=stopped", END % ("killed", 1), False, "stopped (killed, status 1) instead of with status 0"),
    ("web: status=7", END % ("exit", 7), True, "stopped (exit, status 7)"),
    ("web: reason=reboot", END % ("poweroff", 0), False, "stopped (poweroff, status 0), but the reason should be /reboot/"),
    ("web: end=crashed", END % ("poweroff", 0), False, "stopped (poweroff, status 0) instead of crashing"),
    ("web: expect=ok", CRASH % "triple fault", False, "crashed: triple fault"),
    ("web: end=stopped", CRASH % "watchdog: no output for 2 seconds", False, "crashed: watchdog: no output for 2 seconds"),
    ("web: end=crashed reason=triple", CRASH % "triple fault", True, "crashed: triple fault"),
    ("web: end=crashed reason=watchdog", CRASH % "triple fault", False,
     "crashed: triple fault, but the reason should be /watchdog/"),
    ("web: end=crashed expect=ok", CRASH % "triple fault", False, "crashed (triple fault) before expected /ok/ (1 of 1)"),
    ("web: expect=ok", "keel[1.0] event=drop vm=web\r\nweb| ok\r\n", False,
     "lost output: it wrote faster than the console takes, and some of it was dropped"),
    ("web: expect=ok drops=allow", "keel[1.0] event=drop vm=web\r\nweb| ok\r\n", True, "all that was expected was seen"),
    ("web: expect=ok", "keel[1.0] event=drop vm=db\r\nweb| ok\r\n", True, "all that was expected was seen"),
    ("web: end=stopped", "keel[1.0] linux: this is no bzImage\r\n" + END % ("failed", 1), False,
     "could not be started: linux: this is no bzImage"),
    ("web: expect=ok", "keel[1.0] event=idle status=0\r\n", False, "every VM has stopped before expected /ok/ (1 of 1)"),
    ("web: expect=ok", "keel[61.0] tick\r\nweb| ok\r\n", False,
     "time is up (60 s of Keel's clock) before expected /ok/ (1 of 1)"),
    ("web: end=running", "keel[60.0] event=poweroff status=1 reason=limit\r\n", True, "still runs"),
    ("web: end=stopped", "keel[61.0] tick\r\n", False,
     "time is up (60 s of Keel's clock): it still runs and should have stopped"),
    ("web: end=running", "keel[61.0] tick\r\n", True, "still runs"),
    ("web: end=running; db: expect=ok", "db| ok\r\n", True, "still runs"),
    ("web: end=running expect=no; db: expect=ok", "db| ok\r\n", False, "the machine went away before expected /no/ (1 of 1)"),
    ("web: end=running", END % ("poweroff", 0), False, "stopped (poweroff, status 0) although it should run on"),
    ("web: end=running", "", False, "the machine went away although it should run on"),
    ("web: expect=ok", "", False, "the machine went away before expected /ok/ (1 of 1)"),
    ("web: expect=ok", "keel[1.0] event=boot version=0.1.0\r\n", False, "the machine was reset before expected /ok/ (1 of 1)"),
    ("web: expect=ok", "keel[1.0] event=vm name=web state=restarting reason=reboot status=0\r\nweb| ok\r\n", True,
     "all that was expected was seen"),
    ("web: end=stopped", "keel[1.0] event=vm name=web state=restarting reason=crash status=1\r\n", False, "crashed: no report"),
    ("web: expect=ok", "keel[1.0] event=new-one vm=web some=thing\r\nkeel[1.1] event=\r\nweb| ok\r\n", True,
     "all that was expected was seen"),
    ("web: expect=ok", "db| keel[1.0] event=crash-end vm=web\r\ndb| web| ok\r\n", False,
     "the machine went away before expected /ok/ (1 of 1)"),
    ("gone: expect=ok", "", False, "there is no VM 'gone'; there are web, db"),
]


@pytest.mark.parametrize("wanted, said, passed, reason", REASONS)
def test_reasons(wanted, said, passed, reason):
    verdicts = judge(wanted, BOOT + said, limit=60)
    assert verdicts[wanted.split(":")[0]] == (passed, reason)
    assert judge(wanted, BOOT + said, limit=60, size=3) == verdicts


def test_refused():
    stream = BOOT[:BOOT.index("keel[0.004000]")] + REFUSED + "keel[0.005] event=audit result=ok faults=0\r\n"
    assert judge("db: expect=ok", stream)["db"] == (False, "not started: vm=db: it wants 9999 MiB of memory")
    stream = stream.replace("vm=db: it", "keel.conf:7: memory takes a size; it")
    assert judge("db: expect=ok", stream)["db"][1].startswith("not started: keel.conf:7: memory takes")


@pytest.mark.parametrize("said, reason", [
    ('keel[1.0] event=panic core=0 message="a bad thing"\r\nkeel[1.1] panic: cr0=1\r\n', "panicked: a bad thing"),
    ("keel[1.0] event=audit result=failed faults=3\r\n", "the audit found 3 faults"),
    ("keel[1.0] event=boot version=0.1.0\r\n", "the machine was reset: Keel booted again")])
def test_keel_itself(said, reason):
    verdicts = judge("web: expect=ok", BOOT + said)
    assert verdicts[KEEL] == (False, reason)
    assert not verdicts["web"][0]


def test_panic_report_is_whole():
    """The machine isn't ended amid the report, even if all verdicts are there."""
    found = Judge(rules("web: expect=ok"))
    for line in lines_of(BOOT + 'web| ok\r\nkeel[1.0] event=panic core=0 message="x"\r\n'):
        found.take(line)
    assert not found.done
    found.quiet()
    assert found.done


def test_no_boot():
    verdicts = judge("web: expect=ok", "GRUB\r\nkeel[0.0] this CPU has no SVM\r\n")
    assert verdicts[KEEL] == (False, "the machine went away before Keel said that it booted: this CPU has no SVM")


# Bad input -------------------------------------------------------------------------------------------------------

def faults(path, text, names=("web", "db")):
    path.write_text(text)
    found = RuleSet()
    with pytest.raises(BadRules) as problem:
        found.read(str(path))
        found.finish(list(names))
    return [sentence.replace(str(path), "F") for sentence in problem.value.args]


def test_rules_file(tmp_path):
    path = tmp_path / "good.judge"
    path.write_text("# a comment\n[judge]\ncores = 2\nlimit=9\n\n[vm web]\nexpect = a # b = c\nexpect=^x$\nstatus = -1\n")
    found = RuleSet()
    found.read(str(path))
    found.finish(["web"])
    assert found.settings == {"cores": 2, "limit": 9}
    web = found.vms["web"]
    assert [pattern.pattern for pattern in web.expect] == ["a # b = c", "^x$"]
    assert (web.end, web.status) == ("stopped", -1)


def test_all_faults_of_a_file(tmp_path):
    text = ("x = 1\n[judge]\ncores = no\nspeed = 1\n[machine]\nwhat = ever\n[vm web]\nexpect = (\nend = dead\nstatus\n"
            "expect =\n[vm gone]\nexpect = a\n[vm web]\nforbid = b\n")
    said = faults(tmp_path / "f", text)
    assert [re.match("F:[0-9]+", sentence).group() for sentence in said] == [
        "F:1", "F:3", "F:4", "F:5", "F:8", "F:9", "F:10", "F:11", "F:14", "F:12"]
    assert said[1] == "F:3: cores takes a number from 1 to 255, not 'no'"
    assert said[4].startswith("F:8: '(' is no regular expression: ")
    assert said[-1] == "F:12: there is no VM 'gone'; there are web, db"


@pytest.mark.parametrize("text, sentence", [
    ("", "no VM is judged: say what is wanted in a [vm NAME] section or by --expect NAME:PATTERN"),
    ("[vm web]\nexpect = a\nend = any\nstatus = 1\n", "F:1: web: status goes with end = stopped alone"),
    ("[vm web]\nend = running\nreason = x\n", "F:1: web: reason goes with end = stopped or crashed alone")])
def test_faults(tmp_path, text, sentence):
    assert faults(tmp_path / "f", text) == [sentence]


@pytest.mark.parametrize("arguments, sentence", [
    (["none.conf"], "judge: none.conf: there is no such file"),
    (["a.conf", "none.judge"], "judge: none.judge: No such file or directory"),
    (["a.conf", "--expect", "b:x"], "judge: --expect b:x: there is no VM 'b'; there is a"),
    (["a.conf", "--expect", "a:["], "judge: --expect a:[: '[' is no regular expression: unterminated character set at position 0"),
    (["a.conf", "--expect", "hello"], "judge: --expect hello: VM:VALUE is wanted"),
    (["a.conf", "--expect", "a:x", "--backend", "vmware"],
     "judge: there is no back end 'vmware'; there are qemu-kvm, qemu-svm, bochs-vmx"),
    (["a.conf", "--expect", "a:x", "--limit", "soon"], "judge: --limit: limit takes a number from 1 to 10000000, not 'soon'"),
    (["a.conf"], "judge: no VM is judged: say what is wanted in a [vm NAME] section or by --expect NAME:PATTERN")])
def test_one_line(tmp_path, arguments, sentence):
    """The program itself, on a bad command line: one line, and the status that says so."""
    (tmp_path / "a.conf").write_text("[vm a]\nkernel = k\nmemory = 16M\n")
    done = subprocess.run([os.path.join(os.path.abspath(TESTS), "judge")] + arguments, cwd=tmp_path, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", sentence + "\n")
