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
