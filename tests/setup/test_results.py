"""What tests/results.py makes of pytest's results: the end of `make test` names what failed, and why."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import results  # noqa: E402

SUITE = '''
import pytest

@pytest.fixture
def broken():
    raise RuntimeError("no machine")

def test_good(): pass
def test_bad(): assert 1 == 2, "first line\\nlast line"
def test_error(broken): pass
def test_skipped(): pytest.skip("not here")
'''


def test_failures_are_named_with_what_they_said(tmp_path, monkeypatch):
    (tmp_path / "test_suite.py").write_text(SUITE)
    subprocess.run([sys.executable, "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider",
                    "--junitxml=%s" % (tmp_path / "system-x.xml"), "test_suite.py"], cwd=tmp_path, check=False,
                   stdout=subprocess.DEVNULL)
    monkeypatch.setattr(results, "RESULTS", str(tmp_path))
    assert results.totals() == (1, 2, 1)
    said = {name: "\n".join(lines) for suite, name, lines in results.failures() if suite == "system-x"}
    assert sorted(said) == ["test_bad", "test_error"]
    assert "last line" in said["test_bad"] and "no machine" in said["test_error"]
    assert [case[3] for case in results.read_junit(str(tmp_path / "system-x.xml")) if case[1] == "skipped"] == ["not here"]


HOST = '''
import pathlib

def test_slow(): assert pathlib.Path("again").exists(), "too late"
def test_bad(): assert 1 == 2
def test_counted(record_property):
    record_property("counted", "yes")
    assert pathlib.Path("again").exists()
'''


def run_pytest(directory, name, *arguments):
    subprocess.run([sys.executable, "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider", "--junitxml=%s" % (directory / name), *arguments],
                   cwd=directory, check=False, stdout=subprocess.DEVNULL)
    return str(directory / name)


def test_what_passes_when_run_again_is_told(tmp_path, monkeypatch):
    """A second run's results take the places of the first's failures; those that have nothing to do with the host's speed stay failed."""
    (tmp_path / "test_host.py").write_text(HOST)
    first = str(tmp_path / "system-x.xml")
    results.merge_junit(first, "system-x", [run_pytest(tmp_path, "part", "test_host.py")])
    failed = list(results.failed_tests(first))
    assert failed == ["test_host.py::test_slow", "test_host.py::test_bad"]
    (tmp_path / "again").touch()
    results.replace_failures(first, run_pytest(tmp_path, "second", *failed))
    monkeypatch.setattr(results, "RESULTS", str(tmp_path))
    assert results.totals() == (1, 2, 0)
    assert [name for _, name, _ in results.failures()] == ["test_bad", "test_counted"]
    assert [(suite, name) for suite, name, _ in results.second_runs()] == [("system-x", "test_slow")]
