"""Bochs 3.0: an Intel machine with VMX and EPT on any host. Built by bochs-build.

Further options of this machine:

bios      file of its BIOS; Bochs' own by default, which locks IA32_FEATURE_CONTROL with VT-x on. SEABIOS leaves it open
ips       instructions per emulated second
errors    "ignore", or "report" to have them in the emulator's log (one line for each unknown MSR can fill the disk)

Its time is the number of instructions executed, and idle time is skipped: it has nothing to do with the host's clock, in
any of Bochs' `clock: sync` modes. What it can be compared with is ticks().
"""
import os
import re
import socket

from .machine import Machine, TOP

BOCHS = os.path.join(TOP, "build", "bochs", "bin", "bochs")
BIOS = "/usr/share/bochs/BIOS-bochs-latest"
SEABIOS = "/usr/share/seabios/bios.bin"
VGA_BIOS = "/usr/share/vgabios/vgabios.bin"

HOST_MEMORY = 2048     # MiB: Bochs keeps at most that much itself, the rest in a file

CONFIG = """\
cpu: count={cores}, model={cpu}, ips={ips}, reset_on_triple_fault=0
memory: guest={memory}, host={host}
romimage: file={bios}
vgaromimage: file={vga_bios}
ata0-master: type=cdrom, path={iso}, status=inserted
boot: cdrom
display_library: nogui
com1: enabled=1, mode=socket-client, dev=127.0.0.1:{port}
clock: sync=none, time0={time0}
log: {log}
panic: action=fatal
error: action={errors}
info: action=ignore
debug: action=ignore
"""


class BochsVmx(Machine):
    name = "bochs-vmx"
    vendor = "vmx"
    pace = 8.0
    real_time = False

    def ips(self):
        return self.options.get("ips", 100000000)

    @classmethod
    def why_not(cls):
        if not os.access(BOCHS, os.X_OK):
            return "Bochs is not built (tests/backends/bochs-build)"
        for path in (BIOS, VGA_BIOS):
            if not os.path.exists(path):
                return path + " is missing"
        return None

    @classmethod
    def cores_to_run(cls):
        """It runs one after the other: two take more than twice as long as one."""
        return 1

    def command(self):
        config = CONFIG.format(
            cores=self.cores, cpu=self.cpu or "corei7_skylake_x", memory=self.memory,
            host=min(self.memory, HOST_MEMORY), bios=self.options.get("bios", BIOS), vga_bios=VGA_BIOS,
            ips=self.ips(), time0=1700000000 if self.counted else "utc", iso=self.iso, port=self.port,
            log=self.log_path("bochs"), errors=self.options.get("errors", "ignore"))
        path = self.log_path("bochsrc")
        with open(path, "w") as file:
            file.write(config)
        return [BOCHS, "-q", "-f", path]

    def connect(self):
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(1)
            listener.settimeout(300)     # it clears its memory first
            self.port = listener.getsockname()[1]
            self.spawn()
            try:
                line, _ = listener.accept()
            except TimeoutError:
                with open(self.log_path("emulator")) as log:
                    raise RuntimeError("Bochs did not start: " + log.read()) from None
        line.setblocking(True)
        return line.detach()

    def emulator_log(self):
        with open(self.log_path("bochs"), errors="replace") as log:
            return log.read()

    def ticks(self):
        """After the end: how long the machine ran, in ticks of its own (self.ips() of them are a second)."""
        return int(re.findall(r"^(\d{11,})[a-z]\[", self.emulator_log(), re.M)[-1])

    def switched_off(self):
        """Through the shutdown port or ACPI S5."""
        log = self.emulator_log()
        return "shutdown requested" in log or "ACPI control: soft power off" in log
