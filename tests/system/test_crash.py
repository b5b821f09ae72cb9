"""A VM that dies of its own doing: a report that explains it, its policy, and others that don't notice."""
import re

import pytest
import vms
from monitor import Monitor
from vms import vm

LATE_US = 2000


def on_time(late, limit=LATE_US):
    """Also on Bochs, whose serial port takes as long as a real one, 9 ms a line: nobody waits for that but who writes."""
    return len(late) == 30 and max(late) <= limit


# What the guest does, and what the report says of it.
REASONS = {
    "triple": "triple fault",
    "emulator": "an x87 instruction that the emulator doesn't know touched a device",
    "execute": "the guest's code is where there is no memory, at 0xd0000000",
    "tables": "the guest's page tables are where there is no memory, at 0xd0000",
    "write": "the guest's write goes where there is no memory, at 0x4000000128",
}


# Of the whole VMCS or VMCB: how it exited, what it intercepts, where its nested tables are.
CONTROL_STATE = {"vmx": ("exit reason", "qualification", "EPT pointer", "guest CR0", "guest TR"),
                 "svm": ("vmcb: exit=", "np_control=", "kernel_gs_base=", "nmi: ")}


def report(keel, name):
    """The lines between the two events."""
    match = re.search(r"event=crash vm=%s [^\n]*\n(.*?)event=crash-end vm=%s" % (name, name), keel.machine.output(), re.S)
    assert match, "there is no report on %s" % name
    return match.group(1)


def trace(text):
    """For each vCPU: how many exits are listed, and how many there were. Equal ones in a row have one line."""
    found = []
    for part in text.split("  last ")[1:]:
        counts = re.findall(r"^keel\[[0-9. ]+\]   -\d+ .* rip=[0-9a-f]{16}(?: (\d+) times)?\r?$", part.split(" vcpu ")[0], re.M)
        found.append((sum(int(count or 1) for count in counts), int(re.match(r"\d+ of (\d+) exits", part).group(1))))
    return found


@pytest.mark.parametrize("fault", sorted(REASONS))
def test_report(kind, machine, tmp_path, fault):
    """The other VM's heart beats on while one dies, and the report has all that explains it."""
    keel = vms.boot(machine, tmp_path, [vm("bad", cmdline="after=60 smp=2 fault=" + fault, vcpus=2, on_crash="hold"),
                                        vm("beat", cmdline="beat=5 for=150")], counted=True)
    crash = keel.event("crash", 60)
    assert crash["vm"] == "bad" and crash["vcpu"] == "0"
    assert crash["reason"].startswith(REASONS[fault])
    assert keel.event("crash-end")["vm"] == "bad"
    ended = keel.event("vm", name="bad")
    assert (ended["state"], ended["reason"], ended["status"]) == ("crashed", "crash", "1")
    assert keel.finish() == "failed"
    assert vms.failures(keel, "beat") == []
    late = vms.beats(keel, "beat")
    assert on_time(late), late

    text = report(keel, "bad")
    for wanted in (r" vcpu 0, running: the one that failed", r"  rax=[0-9a-f]{16} rcx=", r"  rip=[0-9a-f]{16} rflags=",
                   r"  cs   sel=0008 base=0{16}", r"  idtr ", r"  walk rip: gva=", r"  walk cr2: gva=", r"level 4: \[?[0-9a-f]+",
                   r"  stack [0-9a-f]{16}:", r"  last \d+ of \d+ exits", r" vcpu 1, halted", r"  -1  HLT"):
        assert re.search(r"keel\[[0-9.]+\] *" + wanted.lstrip(), text), wanted
    assert all(kept == min(total, 64) for kept, total in trace(text)) and len(trace(text)) == 2
    for register in ("rip", "cr2"):
        value, = re.findall(r"  walk %s: gva=([0-9a-f]+)" % register, text)
        assert int(value, 16) == int(re.search(r"\b%s=([0-9a-f]+)" % register, text).group(1), 16)
    for wanted in CONTROL_STATE[kind.vendor]:
        assert wanted in text
    if fault in ("triple", "emulator", "write"):
        assert re.search(r"  code  [0-9a-f]{16}: <(0f|dd|48|c7)>", text)
    else:
        assert "not readable" in text


def test_log_level_hides_nothing(machine, tmp_path):
    keel = vms.boot(machine, tmp_path, ["[keel]\nlog = error", vm("bad", cmdline="fault=triple")])
    assert keel.finish(60) == "failed"
    assert "  last " in report(keel, "bad")


def test_two_at_once(machine, tmp_path):
    """Two reports don't mix."""
    keel = vms.boot(machine, tmp_path, [vm("one", cmdline="fault=triple"), vm("two", cmdline="fault=triple")], cores=2)
    assert keel.finish(60) == "failed"
    kinds = [(event["event"], event["vm"]) for event in keel.events() if event["event"].startswith("crash")]
    assert len(kinds) == 4
    for first, second in (kinds[:2], kinds[2:]):
        assert (first[0], second[0]) == ("crash", "crash-end") and first[1] == second[1]


def test_restart(machine, tmp_path):
    """on_crash = restart: it comes back, and crashes again, while the other one lives on."""
    keel = vms.boot(machine, tmp_path, [vm("bad", cmdline="after=20 fault=triple", on_crash="restart"),
                                        vm("beat", cmdline="beat=5 for=150")], counted=True)
    for _ in range(3):
        assert keel.event("crash", 60)["vm"] == "bad"
        assert keel.event("vm", name="bad", state="restarting")
    if not keel.events("vm", name="beat", state="stopped"):
        keel.event("vm", 60, name="beat", state="stopped")
    late = vms.beats(keel, "beat")
    assert on_time(late, LATE_US + 1000), late


def test_failed_entry(machine, tmp_path):
    """A state that no CPU enters a guest with: the report names the rule that it breaks, and the other VM lives on."""
    keel = vms.boot(machine, tmp_path, [vm("bad", cmdline="fault=spin"), vm("beat", cmdline="beat=20 for=1000")],
                    options="test=plant", memory=256)
    monitor = Monitor(keel)
    keel.machine.expect(r"bad\| fault spin")
    monitor.enter()
    keel.machine.send("plant entry bad\r")
    crash = monitor.event("crash", 60, vm="bad")
    assert "entry" in crash["reason"] or "CR4.PAE" in crash["reason"], crash
    monitor.event("crash-end", vm="bad")
    assert re.search(r"VM entry: broken rule: IA-32e mode needs CR0\.PG and CR4\.PAE|"
                     r"VMRUN refuses: EFER\.LME and CR0\.PG are set and CR4\.PAE is clear", report(keel, "bad"))
    assert keel.finish(60) == "failed"
    assert vms.failures(keel, "beat") == []
    assert len(vms.beats(keel, "beat")) == 50
    assert re.search(r" vcpu 0, running: the one that failed", report(keel, "bad"))
