"""What the random guest's judge (tests/system/chaos.py) makes of a VM's lines."""
import os
import sys

import pytest

TESTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path[:0] = [TESTS, os.path.join(TESTS, "system")]

from chaos import Chaos     # noqa: E402


@pytest.fixture
def chaos():
    judge = Chaos(["all", "two"])
    judge.take(None)
    judge.orders = []
    judge.ask = judge.orders.append
    for guest in judge.guests.values():
        guest.state = "running"
    return judge


def watch(chaos):
    for guest in chaos.guests.values():
        chaos.watch(guest)
    return chaos.orders


def test_steps_that_all_end_alike(chaos):
    """Such a guest has most likely written over itself: it begins anew, once."""
    chaos.line("all| chaos ends db=1 nmi=0 bp=2 ud=0 pf=498")
    chaos.line("two| chaos ends db=33 nmi=2 bp=69 ud=44 gp=119 pf=52 task=137 real=44")
    assert watch(chaos) == ["vm reset all"]
    assert watch(chaos) == ["vm reset all"] and chaos.resets == 1
    assert chaos.vectors["pf"] == 550


def test_a_fault_waits_for_its_report(chaos):
    """A crash that there mustn't be is told with what the report says, when that has come to its end."""
    class Machine:
        def tail(self, lines):
            return "the last %d lines" % lines
    chaos.machine = Machine()
    chaos.line('keel[1.0] event=crash vm=two vcpu=0 reason="triple fault"')
    chaos.line("keel[1.1] event=crash-end vm=two")
    chaos.line('keel[1.2] event=crash vm=all vcpu=0 reason="entry failed: invalid guest state"')
    with pytest.raises(AssertionError, match="entry failed: invalid guest state\nthe last"):
        chaos.line("keel[1.3] event=crash-end vm=all")
