"""Keel's figures: its machines, booted one after the other, and what they say of themselves."""
import os
import re
import subprocess
import tempfile
import time

import frames
import images
import vms
from backends import backend
from backends.machine import MachineError
from keel import Keel
from monitor import Monitor, pairs
from operations import BESIDE
from peer import LOADS as PROGRAMS, read_bench, read_disk, read_loads
from results import TOP

# Its CPUID gives no TSC frequency of its own, so that the bare kernel's clock is the emulator's.
CPUS = {"bochs-vmx": "corei7_haswell_4770"}

# Where the kernel, its data and programs lie moves a load by 1 %: everywhere the same, then.
LINUX = "console=ttyS0 nokaslr norandmaps"
LOADS = LINUX + " keel.run=sh+/etc/loads"
TWO_CPUS = LOADS + "+hackbench"
IDLE_SECONDS = 10
POLL_SECONDS = 0.2
SCALES = (1, 8, 64)
CORES = (1, 2, 4, 8, 16)
COMMON = ("cpuid", "rdmsr-apic-base", "port-pic", "mmio-ioapic-read", "x2apic-read", "x2apic-self-ipi", "wrmsr-tsc-deadline", "deadline-to-handler")
SMALL_MIB = 24
PADDING = 200   # instructions before each VMREAD or VMWRITE, to count them by


class Bench:
    """The measurements on one back end. Some need figures of those before them, so that `payload` comes first."""

    STEPS = ("payload", "vmcs", "disk", "net", "switch", "pair", "start", "scale", "flat", "linux_bare", "linux", "loads", "two_cpus", "two_cores")

    def __init__(self, name):
        self.name = name
        self.found = {}
        self.failed = False
        self.directory = tempfile.TemporaryDirectory(prefix="keel-bench.")

    def boot(self, label, iso, **options):
        return Keel(backend(self.name)(iso, label="bench-" + label, counted=True, cpu=CPUS.get(self.name), **options))

    def boot_vms(self, label, sections, **options):
        modules = vms.modules(self.directory.name, sections)
        return self.boot(label, images.keel_iso(modules, "console=line"), **options)

    # The payload.

    def payload(self):
        keel = self.boot("payload", images.keel_iso(images.payload_modules("bench"), "console=line"), limit=600)
        with keel.machine:
            keel.finish(100)
        self.found.update(read_bench(keel.machine.output()))
        event = keel.events("bench")[0]
        self.found["entry-to-guest"] = int(event["entry-to-reset"]) - int(event["copy"]) + first_instruction(keel.machine.output())

    def vmcs(self):
        """How many VMREADs and VMWRITEs an operation takes, where there are any."""
        if backend(self.name).vendor != "vmx":
            return
        for instruction in ("vmread", "vmwrite"):
            elf = os.path.join(TOP, "build", "count", instruction + ".elf")
            subprocess.run([os.path.join(TOP, "tests", "bench", "count-build"), instruction, str(PADDING), elf], check=True)
            keel = self.boot(instruction, images.keel_iso(images.payload_modules("bench"), "console=line", elf=elf), limit=600)
            with keel.machine:
                keel.finish(100)
            slow = read_bench(keel.machine.output())
            self.found.update((instruction + ":" + key, round((slow[key] - self.found[key]) / PADDING)) for key in slow if key in self.found)

    def switch(self):
        """Two vCPUs that share a core."""
        keel = self.boot_vms("switch", [vms.vm("a", cmdline="bench=switch", vcpus=2)], limit=600)
        with keel.machine:
            keel.finish(60)
        self.found.update(read_bench(keel.machine.output()))

    def disk(self):
        """Reads, one at a time and many at once; and from what more of them cost, the exits and interrupts of one."""
        keel = self.boot_vms("disk", [vms.vm("disk", cmdline="bench=disk", disk="ram:16M")], limit=600)
        with keel.machine:
            keel.finish(100)
        self.found.update(read_disk(keel.machine.output()))
        few, more = 1024, 3072
        runs = [(kind + size, count, options) for kind, options in (("", ""), ("poll-", " poll"), ("deep-", " depth=32"))
                for size, count in (("few", few), ("more", more))]
        keel = self.boot_vms("disk-count", [vms.vm(name, cmdline="bench=disk count=%d after=%d%s" % (count, 200 * (n + 1), poll),
                                                   disk="ram:16M") for n, (name, count, poll) in enumerate(runs)], limit=600)
        with keel.machine:
            keel.finish(100)
        exits = {event["vm"]: int(event["exits"]) for event in keel.events("exit-stats")}
        requests, interrupts = map(int, re.search(r"disk requests=(\d+) interrupts=(\d+)", "\n".join(vms.output(keel, "more"))).groups())
        self.found["disk-exits-all"] = (exits["more"] - exits["few"]) / (more - few)
        self.found["disk-exits"] = (exits["poll-more"] - exits["poll-few"]) / (more - few)
        self.found["disk-exits-many"] = (exits["deep-more"] - exits["deep-few"]) / (more - few)
        self.found["disk-interrupts"] = interrupts / requests

    def net(self):
        keel = self.boot_vms("net", frames.sections(), limit=600, ips=frames.IPS)
        with keel.machine:
            keel.finish(100)
        self.found.update(frames.figures(read_bench(keel.machine.output())))

    def pair(self):
        """Two vCPUs on two cores."""
        keel = self.boot("pair", images.keel_iso(images.payload_modules("bench=pair"), "console=line"), cores=2, limit=600)
        with keel.machine:
            keel.finish(60)
        self.found.update(scaled(read_bench(keel.machine.output()), self.found))

    # Linux.

    def initrd(self):
        """The test guest's initramfs, and behind it the programs that its loads want."""
        path = os.path.join(self.directory.name, "initrd.gz")
        if not os.path.exists(path):
            with open(path, "wb") as out:
                for part in (images.INITRD, PROGRAMS):
                    with open(part, "rb") as file:
                        out.write(file.read())
        return path

    def boot_bare(self, label, cmdline, **options):
        return self.boot(label, images.linux_iso(cmdline, initrd=self.initrd()), limit=1800, **options)

    def boot_linux(self, label, cmdline, **options):
        """As a VM that has all of the machine."""
        modules = [(images.KERNEL, "vmlinuz " + cmdline), (self.initrd(), "initrd.gz")]
        return self.boot(label, images.keel_iso(modules, "console=line"), limit=1800, **options)

    def linux_bare(self):
        keel = self.boot_bare("bare", LOADS)
        with keel.machine:
            self.found["linux-bare"] = keel.linux_up(300)[1]
            keel.machine.finish(600)
        self.found["loads-bare"] = read_loads(keel.machine.output())

    def loads(self):
        """What a Linux does all day."""
        keel = self.boot_linux("loads", LOADS)
        with keel.machine:
            keel.finish(600)
        self.found["loads-keel"] = read_loads(keel.machine.output())

    def two_cpus(self):
        """The load that is for several CPUs, with two on one core."""
        section = vms.vm("two", kernel="vmlinuz", initrd="initrd.gz", memory="256M", vcpus=2, cmdline=TWO_CPUS)
        modules = vms.modules(self.directory.name, [section], {"vmlinuz": images.KERNEL, "initrd.gz": self.initrd()})
        keel = self.boot("two-cpus", images.keel_iso(modules, "console=line"), limit=1800)
        with keel.machine:
            keel.finish(600)
        self.found["loads-two"] = read_loads(keel.machine.output())

    def two_cores(self):
        """The same with two on two cores, bare and as a VM. Where QEMU counts, a bare kernel's second CPU gets no time to start."""
        if self.name == "qemu-svm":
            return
        bare = self.boot_bare("two-cores-bare", TWO_CPUS, cores=2)
        with bare.machine:
            bare.machine.finish(600)
        keel = self.boot_linux("two-cores", TWO_CPUS, cores=2)
        with keel.machine:
            keel.finish(600)
        for name, ran in (("cores-bare", bare), ("cores-keel", keel)):
            self.found[name] = read_loads(ran.machine.output())

    def linux(self):
        """The boot, and what the kernel does when it has nothing to do."""
        keel = self.boot_linux("linux", LINUX)
        with keel.machine:
            self.found["linux-keel"] = keel.linux_up(300)[1]
            if "linux-bare" in self.found:
                self.found["linux"] = self.found["linux-keel"] / self.found["linux-bare"]
            monitor = Monitor(keel).enter()
            exits = counters(monitor)
            self.found["linux-exits"] = exits.pop("exits")
            exits.pop("interrupts")
            self.found["linux-exits-by-kind"] = {kind: count for kind, count in exits.items() if count}
            self.idle(monitor)

    def idle(self, monitor):
        pass_seconds(monitor, IDLE_SECONDS / 2)     # what the boot left to be done
        before = counters(monitor)
        seconds = pass_seconds(monitor, IDLE_SECONDS)
        after = counters(monitor)
        more = {kind: after[kind] - before[kind] for kind in after}
        self.found["idle-exits"] = more.pop("exits") / seconds
        self.found["idle-interrupts"] = more["interrupts"] / seconds
        # It halts again after each interrupt; the two are counted at moments of their own.
        self.found["idle-other"] = max(abs(more["hlt"] - more["interrupts"]) - 1, 0)
        self.found["idle-by-kind"] = {kind: count for kind, count in more.items() if count}

    # Many VMs.

    def start(self):
        """A VM that the monitor starts beside one that is there, and what each holds of the pool."""
        keel = self.boot_vms("start", ["[keel]\non_idle = monitor\n", vms.vm("big", cmdline="fault=hang", memory="512M", vcpus=2),
                                       vms.vm("next", cmdline="beat=1000 for=100000", autostart="no", memory="64M")], limit=600)
        with keel.machine:
            keel.machine.expect(r"big\| fault hang", 60)
            monitor = Monitor(keel).enter()
            pool = pairs(" ".join(monitor.ask("vm info big")))
            monitor.ask("vm start next")
            keel.machine.expect(r"next\| beat n=1 ", 60)
            made = pairs(" ".join(monitor.ask("vm info next")))
            output = "\n".join(vms.output(keel, "next"))
        self.found["pool-kib"], self.found["pool-vcpu-kib"] = int(pool["pool_kib"]), int(pool["vcpu_kib"])
        self.found["start-copy"] = int(made["copy_ticks"])
        self.found["start-to-guest"] = int(made["made_to_reset_ticks"]) + first_instruction(output) - self.found["start-copy"]

    def scale(self):
        for count in SCALES:
            sections = [vms.vm("m%02d" % n, cmdline="fault=hang", memory="%dM" % SMALL_MIB) for n in range(count)]
            keel = self.boot_vms("scale-%d" % count, ["[keel]\non_idle = monitor\n"] + sections, memory=1900, limit=900)
            with keel.machine:
                keel.machine.expect(r"m%02d\| fault hang" % (count - 1), 120)
                rows = Monitor(keel).enter().table("vm list")
            pool = sum(int(row["pool_kib"]) for row in rows) / count
            # From the last VM's plan on: all are made, the audit runs, all are loaded.
            planned = keel.events("plan")[-1]["seconds"]
            running = keel.events("vm", state="running")[-1]["seconds"]
            self.found["scale-%d" % count] = (running - planned) / count * self.found["tsc-hz"]
            self.found["scale-pool-%d" % count] = pool
        self.found["scale-time"] = self.found["scale-64"] / self.found["scale-8"]
        self.found["scale-pool"] = self.found["scale-pool-64"] / self.found["scale-pool-1"]

    def flat(self):
        """
        What exits cost when others do the same: on each of some cores, and in each of some VMs of one core. The worst of the VMs' least. A
        single one among cores isn't on core 0, where Keel's own timers are due before a far deadline of the guest's, which arms nothing then.
        """
        counts = [("vms", count, 1) for count in SCALES]
        if self.name == "qemu-svm":     # in Bochs a tick isn't an instruction then
            counts += [("cores", count, max(count, 2)) for count in CORES]
        for kind, count, cores in counts:
            sections = [vms.vm("m%02d" % n, cmdline="bench=common", cpus=str((n + 1) % cores)) for n in range(count)]
            keel = self.boot_vms("flat-%s-%d" % (kind, count), sections, cores=cores, memory=2000, limit=900)
            with keel.machine:
                keel.finish(400)
            each = [read_bench("\n".join(vms.output(keel, "m%02d" % n))) for n in range(count)]
            self.found.update(("flat-%s-%d:%s" % (kind, count, key), max(found[key] for found in each)) for key in COMMON)
        for kind in dict(count[:2] for count in counts):
            counted = [count for of, count, _ in counts if of == kind]
            self.found["flat-" + kind] = max(self.found["flat-%s-%d:%s" % (kind, count, key)] / self.found["flat-%s-%d:%s" % (kind, counted[0], key)]
                                             for count in counted for key in COMMON)

    def step(self, measure):
        """One that fails leaves the others their figures."""
        try:
            measure()
        except (MachineError, RuntimeError, KeyError) as problem:
            self.failed = True
            print("%s: no figures of '%s': %s" % (self.name, measure.__name__, problem))

    def steps(self, names):
        for name in self.STEPS:
            if name in names:
                began = time.monotonic()
                self.step(getattr(self, name))
                print("  %s: %s, %d s" % (self.name, name, time.monotonic() - began), flush=True)
        return self.found


def first_instruction(text):
    """The guest's TSC there, which is 0 at its reset."""
    return int(re.search(r"first-instruction tsc=(\d+)", text).group(1))


def scaled(figures, single):
    """Ticks of two cores as instructions, by what cpuid costs there in the mean, and on one core."""
    found = {}
    for key, beside in BESIDE.items():
        if key in figures:
            factor = (single["cpuid:mean"] + single["empty"]) / (figures[beside + ":mean"] + figures["empty"])
            found[key] = round((figures[key] + figures["empty"]) * factor - single["empty"])
    return found


def counters(monitor):
    """A VM's exits by kind, all of them, and the interrupts that it got."""
    row = monitor.table("stats vm0")[0]
    return {kind: int(count) for kind, count in row.items() if kind not in ("vm", "vcpu", "run_us")}


def pass_seconds(monitor, seconds):
    """
    Lets the machine's own time go by; returns how much did. An idle machine's goes faster than ours, but not while it talks
    with us: it is asked now and then only.
    """
    passed = 0
    monitor.table("top")
    while passed < seconds:
        time.sleep(POLL_SECONDS)
        passed += int(monitor.table("top")[0]["elapsed_ms"]) / 1000
    return passed
