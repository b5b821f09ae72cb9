"""Random instructions, registers, MSRs, ports and devices in all modes (chaos.py). `make fuzz [STEPS=N] [SEED=N]` has the long form."""
import os
import time

import images
import pytest
import virtio
import vms
from chaos import Chaos, EmulatorDied
from keel import vm_output

# In `make test`: some twenty seconds of a core.
STEPS = 3000    # in `make test`
LATE_MS = {"svm": 50, "vmx": 200}
DEATHS = 2500   # steps for each death of the emulator itself that may be, beside the first three
SEED = 1        # of the runs that have to be alike

KINDS = {
    "all": {"rng": "yes", "virtio_console": "yes", "virtio_port": "port", "vsock": 7, "balloon": "yes", "shmem": "mem:64K",
            "debug_exit": "yes", "disk": "disk.img,cow", "cdrom": "disk.img", "net": "lan0"},
    "plain": {"pv": "none"},
    "two": {"vcpus": 2, "disk": "ram:1M", "net": "lan0"},
    "hyperv": {"pv": "hyperv"},
}


def sections(seed):
    keys = {"kernel": "chaos.bz", "on_crash": "restart", "on_reboot": "restart", "autostart": "no"}
    for at, (name, own) in enumerate(KINDS.items()):
        yield vms.vm(name, cmdline="seed=%d" % (len(KINDS) * seed + at), **keys, **own)
    # A port of that switch, a place among the sockets and a part of that memory are its own, too.
    yield vms.vm("beat", cmdline="beat=100 for=100000000", vsock=8, shmem="mem:64K", net="lan0")


def boot(machine, tmp_path, seed, options=""):
    disk, _ = virtio.image(tmp_path, "disk.img", 1 << 20)
    chaos = os.path.join(images.PAYLOADS, "chaos.bz")
    modules = vms.modules(tmp_path, sections(seed), {"chaos.bz": chaos}) + [(disk, "disk.img")]
    keel = machine.keel(modules, ("on_idle=monitor " + options).strip(), counted=True, memory=256,
                        limit=int(os.environ.get("KEEL_CHAOS_LIMIT") or 600))
    keel.event("vm", 60, name="beat", state="running")
    keel.machine.send("\x1d")
    keel.machine.expect("keel> ")
    return keel.machine


@pytest.fixture
def alone(machine):
    """One VM with the guest, which tries what can be tried one after the other."""
    def start(cmdline, options=""):
        return machine.keel([(os.path.join(images.PAYLOADS, "chaos.bz"), "chaos " + cmdline)], options, counted=True, memory=64)
    return start


@pytest.mark.parametrize("options", [pytest.param("", id="as-it-is"), pytest.param("disable=quick", id="the-long-way",
                                     marks=pytest.mark.only("qemu-svm", why="writes of control registers have a short way there"))])
def test_every(alone, options):
    """Every bit of the control registers, MSR and type of descriptor gives the fault that hardware gives."""
    keel = alone("every=1", options)
    keel.machine.expect(r"payload: \d+ passed, \d+ failed", 120)
    assert [line for line in vm_output(keel.machine.output()) if line.startswith(("not ok", "# "))] == []
    assert keel.finish() == "clean"


def test_unmapped(alone):
    """A guest that takes its own memory away can't be told of it any more."""
    keel = alone("unmap=1")
    assert keel.event("crash", 60)["reason"] == "triple fault"
    assert keel.finish() == "failed"


def carry_out(chaos, start, seed, steps, say):
    """Does so many steps in one machine, or in more of them if the emulator dies; returns what was free at the start of the last."""
    while True:
        chaos.take(start(seed))
        free = chaos.ask("memory")
        died = None
        try:
            chaos.run(steps)
            chaos.end()
        except EmulatorDied as death:
            died = death
        chaos.check_beats(LATE_MS[chaos.machine.vendor])
        if not died:
            return free
        chaos.deaths += 1
        say("%s at seed %d, step %d (%s); goes on with seed %d" % (died, seed, chaos.did, chaos.where(), seed + 1))
        assert chaos.deaths <= 3 + steps // DEATHS, chaos.told()
        chaos.machine.kill()
        seed += 1


def test_random(kind, machine, tmp_path, capsys):
    """Keel refuses no entry, the other VM's heart beats on, nothing is lost."""
    seed = int(os.environ.get("KEEL_CHAOS_SEED") or SEED)
    steps = int(os.environ.get("KEEL_CHAOS_STEPS") or STEPS)
    chaos = Chaos(KINDS)
    begin = time.monotonic()

    def say(text):
        with capsys.disabled():
            print("chaos: " + text, flush=True)

    def start(this):
        return boot(machine, tmp_path, this, os.environ.get("KEEL_CHAOS_OPTIONS", ""))
    try:
        free = carry_out(chaos, start, seed, steps, say)
    finally:
        say("seed %d: %s; %d s" % (seed, chaos.told(), time.monotonic() - begin))
    assert chaos.ask("memory") == free
    assert chaos.audit()["result"] == "ok"
