"""System tests in several processes: each file is run by one of them, and what they leave becomes one file of results."""
import os
import shutil
import subprocess
import sys

TESTS = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.insert(0, TESTS)

import results      # noqa: E402

FILES = {"test_%s.py" % name: "import time, pytest\n"
         "@pytest.fixture(scope='module')\ndef slow():\n    time.sleep(0.05)\n"
         "def test_one(slow): pass\n"
         "def test_two(slow): assert '%s' != 'd'\n"
         "def test_three(): pytest.skip('not here')\n" % name for name in "abcdef"}


def tree(directory):
    """The real conftest.py beside tests that need no machine."""
    for name in ("backends", "judging"):
        os.symlink(os.path.join(TESTS, name), directory / name)
    system = directory / "system"
    system.mkdir()
    for name in ("conftest.py", "images.py", "keel.py"):
        shutil.copyfile(os.path.join(TESTS, "system", name), system / name)
    for name, text in FILES.items():
        (system / name).write_text(text)
    return system


def test_two_processes(tmp_path):
    system, share = tree(tmp_path), tmp_path / "share"
    share.mkdir()
    parts = [str(tmp_path / name) for name in ("1.xml", "2.xml")]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--share=%s" % share]
    processes = [subprocess.Popen(command + ["--junitxml=" + part, str(system)], stdout=subprocess.PIPE) for part in parts]
    for process in processes:
        process.communicate()
    assert sorted(process.returncode for process in processes) == [0, 1]
    merged = str(tmp_path / "merged.xml")
    results.merge_junit(merged, "system", parts)
    cases = results.read_junit(merged)
    assert [(name, state) for name, state, _, _ in cases] == [
        ("test_" + test, "failed" if (file, test) == ("d", "two") else "skipped" if test == "three" else "passed")
        for file in "abcdef" for test in ("one", "two", "three")]
    assert [message for _, state, _, message in cases if state == "failed"][0].count("assert")
