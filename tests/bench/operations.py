"""What is measured, and what it may cost, in instructions, for both vendors: the budgets of the design, and for what it gives
none (a wake-up, a switch, the start of a VM, a vCPU's memory, many VMs) bounds a little above what was first measured."""
from collections import namedtuple

# what: as the table says it; key: as the payload prints it; budget: or None; mean: of all runs, not the least of them
Operation = namedtuple("Operation", "what key budget mean", defaults=(None, False))

INSTRUCTIONS = [
    Operation("cpuid", "cpuid", 150),
    Operation("hypercall", "hypercall", 150),
    Operation("rdmsr, APIC base", "rdmsr-apic-base", 150),
    Operation("rdmsr, TSC_ADJUST", "rdmsr-tsc-adjust", 150),
    Operation("wrmsr, TSC_ADJUST", "wrmsr-tsc-adjust", 150),
    Operation("rdmsr, PAT", "rdmsr-pat", 150),
    Operation("EFER.SCE toggled (rdmsr, wrmsr)", "wrmsr-efer"),
    Operation("XSETBV", "xsetbv"),
    Operation("PAUSE", "pause"),
    Operation("WBINVD", "wbinvd"),
    Operation("INVLPG", "invlpg"),
    Operation("write to CR0.WP", "cr0-wp"),
    Operation("write to CR0.TS", "cr0-ts"),
    Operation("CLTS", "clts"),
    Operation("write to CR3", "cr3"),
    Operation("write to CR4.PGE", "cr4-pge"),
    Operation("DR6 read", "dr-read"),
    Operation("DR7 written", "dr-write"),
    Operation("page fault of the guest's own", "page-fault"),
    Operation("first touch of a page, mean", "first-touch", None, True),
]

DEVICES = [
    Operation("port in, PIC", "port-pic", 250),
    Operation("port out, PIC", "port-pic-out", 250),
    Operation("port in, PIT's port 0x61", "port-pit", 250),
    Operation("port in, PIT's counter", "port-pit-count", 250),
    Operation("port in, PM timer", "port-pm-timer", 250),
    Operation("port in, RTC", "port-rtc", 250),
    Operation("port in, PCI configuration", "port-pci", 250),
    Operation("port in, UART", "port-uart", 250),
    Operation("port in, nobody there", "port-unclaimed", 250),
    Operation("REP OUTSB of 64 bytes", "port-string-64"),
    Operation("LAPIC MMIO read", "mmio-lapic-read", 500),
    Operation("LAPIC MMIO write, TPR", "mmio-lapic-write", 500),
    Operation("EOI, xAPIC", "mmio-lapic-eoi", 500),
    Operation("LAPIC timer armed, xAPIC", "lapic-timer-arm", 500),
    Operation("IOAPIC MMIO read", "mmio-ioapic-read", 500),
    Operation("IOAPIC MMIO write", "mmio-ioapic-write", 500),
    Operation("MMIO read, nobody there", "mmio-nothing", 500),
    Operation("x2APIC read", "x2apic-read", 250),
    Operation("x2APIC write, TPR", "x2apic-tpr-write", 250),
    Operation("EOI, x2APIC", "x2apic-eoi", 250),
    Operation("TSC deadline armed", "wrmsr-tsc-deadline", 250),
]

INTERRUPTS = [
    Operation("self-IPI to handler, xAPIC", "self-ipi", 500),
    Operation("self-IPI to handler, x2APIC", "x2apic-self-ipi", 500),
    Operation("self-IPI, HLT, to handler, xAPIC", "self-ipi-hlt"),
    Operation("self-IPI, HLT, to handler, x2APIC", "x2apic-self-ipi-hlt"),
    Operation("TSC deadline to handler", "deadline-to-handler", 900),
    Operation("TSC deadline to handler, from HLT", "deadline-wakes"),
    Operation("IPI to a running vCPU's handler [1]", "ipi-running", 900),
    Operation("its sender's exit alone [1]", "ipi-running-send"),
    Operation("IPI to a halted vCPU's handler [1]", "ipi-halted", 1500),
    Operation("its sender's exit alone [1]", "ipi-halted-send"),
    Operation("IPI, HLT, switch to the other vCPU's handler", "ipi-switch", 2500),
]

OPERATIONS = INSTRUCTIONS + DEVICES + INTERRUPTS

# What a guest does by itself, on Keel and on KVM.
NO_EXIT_AT_ALL = {"page-fault"}

# Those of two cores, and what says how many ticks an instruction is there.
BESIDE = {key + part: "cpuid-beside-" + key[4:] for key in ("ipi-running", "ipi-halted") for part in ("", "-send")}

# Keel's own, which KVM has no like of, or which are no single operation: what, key, budget, how it is written, and which part of KVM's
# it is to be at most
Whole = namedtuple("Whole", "what key budget shape aim", defaults=(None, "%d", None))

WHOLE = [
    Whole("random read of 4 KiB, notification to interrupt", "disk-read-4k", 6000),
    Whole("its exits with the interrupt's", "disk-exits-all", None, "%.2f"),
    Whole("its exits when it is polled for", "disk-exits", 1, "%.2f"),
    Whole("its interrupts", "disk-interrupts", 1, "%.2f"),
    Whole("each of 32 at once", "disk-read-4k-many"),
    Whole("its exits with the interrupts'", "disk-exits-many", None, "%.3f"),
    Whole("its interrupts", "disk-interrupts-many", None, "%.3f"),
    Whole("read of 128 KiB, one after another", "disk-read-128k"),
    Whole("frame of 64 bytes to another VM and one back, both halted [2]", "net-ping"),
    Whole("frame of 64 bytes in a burst of 16 [2]", "net-burst-64", 4000),
    Whole("frame of 64 KiB [2]", "net-frame-64k"),
    Whole("frame of 64 KiB in a burst of 3 [2]", "net-burst-64k"),
    Whole("the same without its two copies [2]", "net-own-64k", 4000),
    Whole("a byte of it [2]", "net-byte-64k", None, "%.3f"),
]

WHOLE += [
    Whole("hypervisor entry to first guest instruction", "entry-to-guest", 30000000),
    Whole("vm start to first guest instruction, modules' copy left out", "start-to-guest", 1000000),
    Whole("the copy of its modules", "start-copy"),
    Whole("pool of a VM of 2 vCPUs and 512 MiB, KiB", "pool-kib", 512),
    Whole("pool of each vCPU, KiB", "pool-vcpu-kib", 64),
    Whole("exits of an idle Debian in a second", "idle-exits", None, "%.1f"),
    Whole("its interrupts in a second, all of its timer", "idle-interrupts", None, "%.1f"),
    Whole("times that it woke without one", "idle-other", 0),
    Whole("making and starting of 1 VM", "scale-1"),
    Whole("making and starting of each of 8 VMs", "scale-8"),
    Whole("making and starting of each of 64 VMs", "scale-64"),
    Whole("time for each of 64 VMs to that for each of 8", "scale-time", 1.1, "%.3f"),
    Whole("pool of each of 64 VMs to that of 1, of 1 vCPU and 24 MiB", "scale-pool", 1, "%.3f"),
    Whole("exits with 64 VMs on a core to those with 1, the worst kind", "flat-vms", 1.01, "%.3f"),
    Whole("exits with 16 busy cores to those with 1, the worst kind", "flat-cores", 1.01, "%.3f"),
    Whole("Linux boot to init, exits", "linux-exits", None, "%d", 1),
    Whole("Linux boot to init, times bare", "linux", 1.03, "%.3f"),
]

NOTES = """\
Instructions as the guest counts them, the least of 1000 runs; where the least says nothing, the mean.
[1] On two cores. QEMU runs them in turn, so that the figure holds what both execute, the sender's way back included: more than what passes
    until the handler. In Bochs a tick isn't an instruction then; the figure is scaled by what cpuid costs beside the same company.
[2] Two VMs on one core, and all that both execute and Keel for them, switches included. A copy moves eight bytes with an instruction.
    Bochs has 10^9 instructions in a second there, as QEMU: how many frames go into a turn of the scheduler's depends on that.
    KVM's VMs are on a Linux bridge, with vhost-net; for these and for disks its host is told that REP MOVSB isn't fast (clearcpuid=erms), of
    which the emulators count every byte: it copies eight bytes with an instruction, too.
Linux loads are those of kernels without randomised addresses, everywhere. For hackbench, who is woken waits for its turn (NO_WAKEUP_PREEMPTION):
    else the number of its context switches is anything from 1,000 to 13,000, bare as in a VM, and with that how long it takes.
aim: at most a tenth of KVM's, and no more exits in a boot than KVM's; or by how much that is missed.
VMCS: VMREADs and VMWRITEs of an operation; from how much longer it takes when instructions that do nothing stand before each of them.
KVM runs its emulator to step over an instruction where the CPU tells no next RIP, as in QEMU: on hardware its AMD figures would be lower.
Its timer fires early, by what it has learnt that an entry takes, and spins there until the deadline."""
