"""KVM's figures: the same guests on Debian's kernel and Debian's QEMU, in the same emulator.

Measured on this machine when first wanted, and kept under build/bench by the hash of all that could change them.
"""
import hashlib
import json
import os
import re
import subprocess
import time

import frames
import images
from backends import backend
from backends.machine import MachineError
from results import TOP

DIRECTORY = os.path.join(TOP, "build", "bench")
SETUP = os.path.join(TOP, "tests", "setup")
INITRD = os.path.join(TOP, "build", "peer", "initrd.gz")
LOADS = os.path.join(TOP, "build", "guest", "loads.gz")     # programs for /etc/loads of the test guest
PAYLOAD = os.path.join(images.PAYLOADS, "exits.bz")
BOCHS = os.path.join(TOP, "build", "bochs", "bin", "bochs")
MEMORY = 1024
LIMIT = 7200
FORMAT = 6      # of what is kept: higher when this file measures something else

# Guests on one core, and on two: there a Linux under QEMU's instruction counting doesn't come up.
ONE_CORE = ["bench", "switch", "linux", "smp"]
# What a host copies for its guests. The emulators count each byte of a REP MOVSB, which Linux copies with where CPUID says that it is
# fast (ERMS); without that it moves eight bytes at a time, as Keel does.
COPIES, WITHOUT_ERMS = ["disk", "net"], "clearcpuid=erms"
TWO_CORES = {"qemu-svm": [], "bochs-vmx": ["pair"]}


def emulator_version(name):
    if name == "bochs-vmx":
        return images.digest(BOCHS)
    return subprocess.run(["qemu-system-x86_64", "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout


def key(name, cpu):
    files = [images.KERNEL, images.INITRD, LOADS, PAYLOAD, os.path.join(SETUP, "peer"), os.path.join(SETUP, "peer-run"), os.path.join(SETUP, "peer-tap")]
    qemu = subprocess.run(["qemu-system-x86_64", "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout
    parts = [str(FORMAT), name, str(cpu), emulator_version(name), qemu] + [images.digest(path) for path in files]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]


def run(name, cpu, guests, cores, host=""):
    """Boots the host and runs these guests in it; returns what it all printed."""
    line = "console=ttyS0 quiet %s keel.run=/peer/run+%s" % (host, "+".join(guests))
    iso = images.build(["--linux", images.KERNEL, line, "--initrd", INITRD], [images.KERNEL, INITRD], False)
    machine = backend(name)(iso, label="bench-kvm-" + guests[0], counted=True, cpu=cpu, memory=MEMORY, cores=cores, limit=LIMIT)
    with machine:
        for guest in guests:
            machine.expect("PEER-BEGIN %s\r?\n" % guest, 900)
            machine.expect("PEER-END " + guest, 1800)    # the host may be quick to say that it switches off
    return machine.output()


def read_bench(text):
    """The payload's lines: least and mean by name."""
    found = {}
    for name, least, mean in re.findall(r"bench ([\w.-]+)=(\d+)(?: mean=(\d+))?", text):
        found[name] = int(least)
        if mean:
            found[name + ":mean"] = int(mean)
    return found


def read_loads(text):
    """What /etc/loads of the test guest prints, whole lines alone: nanoseconds by name, and context switches by name and ":switches"."""
    failed = re.search(r"\bload (\w+) failed", text)
    if failed:
        raise MachineError("the load '%s' failed in the guest" % failed.group(1))
    found = {}
    for name, ns, switches in re.findall(r"\bload (\w+)=(\d+) switches=(\d+)\r?$", text, re.M):
        found[name] = int(ns)
        found[name + ":switches"] = int(switches)
    return found


def read_disk(text):
    """What `bench=disk` prints, with the interrupts of a request for those of all."""
    found = read_bench(text)
    found["disk-interrupts-many"] /= found["disk-interrupts-many:mean"]
    return {key: value for key, value in found.items() if key.startswith("disk-")}


def one_core(name, cpu, found):
    text = run(name, cpu, ONE_CORE, 1)
    found["bench"].update(read_bench(text.split("PEER-END bench")[0]))
    found["bench"].update(read_bench(text.split("PEER-BEGIN switch")[1].split("PEER-BEGIN linux")[0]))
    inner, smp = text.split("PEER-BEGIN linux")[1].split("PEER-BEGIN smp")
    found["linux-seconds"] = float(re.search(r"KEEL-GUEST-UP \S+ ([0-9.]+)", inner).group(1))
    found["loads"] = read_loads(inner)
    found["loads-two"] = read_loads(smp)
    found["linux-exits"] = int(re.search(r"peer: exits=(\d+)", inner).group(1))
    found["linux-exits-by-kind"] = {kind: int(count) for kind, count in re.findall(r"peer: kind (\w+)=([1-9]\d*)", inner)}


def copies(name, cpu, found):
    disk, net = run(name, cpu, COPIES, 1, WITHOUT_ERMS).split("PEER-BEGIN net")
    found["bench"].update(read_disk(disk))
    found["bench"].update(frames.figures(read_bench(net)))


def two_cores(name, cpu, found):
    if TWO_CORES[name]:
        found["pair"] = read_bench(run(name, cpu, TWO_CORES[name], 2))


PARTS = [one_core, copies, two_cores]


def measure(name, cpu, found, path):
    """The parts that aren't in `found` yet, each kept as soon as it is there: on a busy host they take long."""
    for part in PARTS:
        if part.__name__ in found["parts"]:
            continue
        began = time.monotonic()
        part(name, cpu, found)
        print("  %s: KVM, %s, %d s" % (name, part.__name__, time.monotonic() - began), flush=True)
        found["parts"].append(part.__name__)
        found["date"] = time.strftime("%Y-%m-%d")
        with open(path, "w") as file:
            json.dump(found, file, indent=2)


def figures(name, cpu, again):
    """KVM's figures, and where they are from in words."""
    path = os.path.join(DIRECTORY, "kvm-%s-%s.json" % (name, key(name, cpu)))
    found = {"parts": [], "bench": {}, "pair": {}}
    if os.path.exists(path) and not again:
        with open(path) as file:
            found = json.load(file)
    if len(found["parts"]) == len(PARTS):
        return found, "measured on %s, kept in %s" % (found["date"], os.path.relpath(path, TOP))
    subprocess.run([os.path.join(SETUP, "peer")], check=True)
    with open(os.path.join(TOP, "build", "peer", "version")) as file:
        found["version"] = file.read().strip()
    os.makedirs(DIRECTORY, exist_ok=True)
    measure(name, cpu, found, path)
    return found, "measured now, kept in " + os.path.relpath(path, TOP)
