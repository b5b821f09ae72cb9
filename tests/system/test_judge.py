"""tests/judge, the harness for others: what it says of VMs that do all kinds of things, from a keel.conf and from an ISO."""
import os
import re
import subprocess

import pytest
import results
from monitor import PAYLOAD

JUDGE = os.path.join(results.TOP, "tests", "judge")
EXAMPLE = os.path.join(results.TOP, "tests", "examples", "three.conf")
MKISO = os.path.join(results.TOP, "iso", "mkiso")

CONF = """\
[keel]
on_idle = halt
[vm early]
cmdline = beat=100 for=10000000
[vm steady]
cmdline = beat=100 for=10000000
[vm silent]
cmdline = fault=hang
watchdog = 1
[vm triple]
cmdline = fault=triple
[vm wanted]
cmdline = fault=triple
on_crash = hold
[vm loud]
cmdline = hog=flood for=FLOOD_MS
[vm allowed]
cmdline = hog=flood for=FLOOD_MS
[vm seven]
cmdline = fault=exit
debug_exit = yes
[vm reset]
cmdline = fault=reset
on_reboot = stop
[vm short]
cmdline = exits=msr
[vm unasked]
cmdline = fault=spin
"""
RULES = """\
[vm early]
expect = beat n=1\\b
[vm steady]
expect = beat n=1\\b
end = running
[vm silent]
expect = never
[vm triple]
expect = never
[vm wanted]
end = crashed
reason = ^triple fault
[vm loud]
expect = rounds=
[vm allowed]
expect = rounds=
drops = allow
[vm seven]
status = 7
[vm reset]
reason = reboot
[vm short]
expect = first-instruction
expect = ^there is no such line$
"""
VERDICTS = {
    "early": "ok all that was expected was seen",
    "steady": "ok still runs",
    "silent": "not ok crashed: watchdog: no output for 1 seconds",
    "triple": "not ok crashed: triple fault",
    "wanted": "ok crashed: triple fault",
    "loud": "not ok lost output: it wrote faster than the console takes, and some of it was dropped",
    "allowed": "ok all that was expected was seen",
    "seven": "ok stopped (exit, status 7)",
    "reset": "ok stopped (reboot, status 0)",
    "short": "not ok stopped (poweroff, status 0) before expected /^there is no such line$/ (2 of 2)",
    "keel": "ok no panic",
}


@pytest.fixture
def judge(kind, tmp_path):
    """Runs the program on this back end; gives its status and the verdicts by name."""
    def run(path, *arguments):
        directory = str(tmp_path / "out")
        done = subprocess.run([JUDGE, str(path), "--backend", kind.name, "-o", directory] + list(arguments),
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900)
        found = re.findall(r"^((?:not )?ok) \d+ - (\S+)\n# (.*)", done.stdout, re.M)
        assert done.stdout.startswith("TAP version 13\n1..%d\n" % len(found)), done.stdout
        cases = results.read_junit(os.path.join(directory, "judge.xml"))
        assert {(name, state == "passed") for name, state, _, _ in cases} == {(name, ok == "ok") for ok, name, _ in found}
        with open(os.path.join(directory, "judge.tap")) as tap:
            assert tap.read().count("ok ") >= len(found)
        return done.returncode, {name: "%s %s" % (ok, reason) for ok, name, reason in found}
    run.out = tmp_path / "out"
    return run


def write(tmp_path, conf, memory="16M"):
    """A keel.conf whose VMs all have our own guest in them."""
    path = tmp_path / "keel.conf"
    path.write_text(re.sub(r"^(\[vm .*)", r"\1\nkernel = exits.bz\nmemory = " + memory, conf, flags=re.M))
    (tmp_path / "exits.bz").symlink_to(PAYLOAD)
    return path


def test_three(judge):
    """The README's example: two are good, the third one panics."""
    status, verdicts = judge(EXAMPLE)
    assert {name: verdict.split(" ")[0] for name, verdict in verdicts.items()} == {
        "linux": "ok", "small": "ok", "broken": "not", "keel": "ok"}
    assert status == 1
    assert "Kernel panic" in verdicts["broken"]
    logs = {name: (judge.out / (name + ".log")).read_text() for name in verdicts}
    assert "Linux version 6" in logs["linux"] and "linux|" not in logs["linux"]
    assert "payload:" not in logs["linux"] and "payload:" in logs["small"]
    assert "event=boot" in logs["keel"] and "Linux version" not in logs["keel"]


def test_all_kinds(kind, judge, tmp_path):
    """Each verdict with its reason, all in one run that nothing but the judge ends."""
    rules = tmp_path / "rules"
    rules.write_text(RULES)
    bochs = kind.name.startswith("bochs")
    conf = CONF.replace("FLOOD_MS", "4000" if bochs else "200")
    status, verdicts = judge(write(tmp_path, conf), str(rules), "--guest-limit", "100")
    wanted = dict(VERDICTS)
    if not bochs:
        wanted["loud"] = wanted["allowed"]      # QEMU's serial port takes all there is, at once
    assert verdicts == wanted
    assert status == 1
    assert "last " in (judge.out / "triple.crash").read_text()
    assert (judge.out / "unasked.log").exists()


def test_time_is_up(judge, tmp_path):
    """Keel's clock ends it, although nobody says anything more."""
    status, verdicts = judge(write(tmp_path, "[vm mute]\ncmdline = fault=hang\n[vm good]\ncmdline = exits=msr\n"),
                             "--end", "mute:stopped", "--end", "good:stopped", "--guest-limit", "3")
    assert verdicts == {"good": "ok stopped (poweroff, status 0)", "keel": "ok no panic",
                        "mute": "not ok time is up (3 s of Keel's clock): it still runs and should have stopped"}
    assert status == 1


def test_iso_in_focus_mode(judge, tmp_path):
    """An image, whose only VM has the console for itself."""
    iso = tmp_path / "one.iso"
    subprocess.run([MKISO, write(tmp_path, "[vm only]\ncmdline = exits=msr\n"), iso, "--platform", "bios"], check=True)
    status, verdicts = judge(iso, "--expect", r"only:^payload: \d+ passed, 0 failed", "--end", "only:stopped")
    assert (status, verdicts) == (0, {"only": "ok stopped (poweroff, status 0)", "keel": "ok no panic"})
    assert "payload:" in (judge.out / "only.log").read_text()
    bad = subprocess.run([JUDGE, iso, "--expect", "other:x"], stderr=subprocess.PIPE, text=True)
    assert (bad.returncode, bad.stderr) == (2, "judge: --expect other:x: there is no VM 'other'; there is only\n")


def test_panic(judge, tmp_path):
    """Keel's own end is its verdict, and that of who hadn't one."""
    status, verdicts = judge(write(tmp_path, "[vm a]\ncmdline = fault=hang\n"), "--expect", "a:x",
                             "--options", "test=assert panic=halt")
    assert status == 1 and verdicts["keel"].startswith("not ok panicked: ")
    assert verdicts["a"].startswith("not ok Keel panicked (")


def test_refused(judge, tmp_path):
    """What doesn't fit isn't started, and the reason is Keel's own."""
    conf = write(tmp_path, "[vm a]\ncmdline = fault=hang\n[vm big]\n", "400M")
    status, verdicts = judge(conf, "--expect", "a:fault hang", "--expect", "big:x", "--memory", "512")
    assert status == 1 and verdicts["a"].startswith("ok")
    assert verdicts["big"].startswith("not ok not started: vm=big: it wants 400 MiB of memory; of "), verdicts
