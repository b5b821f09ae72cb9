"""QEMU: TCG with SVM (an AMD machine on any host), and nested KVM where the host can do that.

Further options of these machines:

firmware   "bios" (SeaBIOS) or "ovmf" (UEFI)
medium     "cd" or "usb"
board      "pc" or "q35"
debug_exit False for a machine without the device that ends it: the one that can't be switched off before ACPI is read
arguments  more arguments for QEMU's command line
shift      of a counted machine: one instruction takes 2^shift ns, 0 without it
backlog    bytes that it can say before somebody reads them: 1 MiB without it
"""
import fcntl
import glob
import json
import os
import shutil
import socket
import time

from .machine import Machine

OVMF_CODE = "/usr/share/OVMF/OVMF_CODE_4M.fd"
OVMF_VARS = "/usr/share/OVMF/OVMF_VARS_4M.fd"
EXIT_CLEAN = 33     # isa-debug-exit: 2 * value + 1
EXIT_FAILED = 35
F_SETPIPE_SZ = 1031 # fcntl.h; Python has it from 3.10 on
PIPE_BYTES = 1 << 20


class Qemu(Machine):
    def accelerator(self):
        raise NotImplementedError

    def processor(self):
        raise NotImplementedError

    def command(self):
        options = self.options
        arguments = [
            "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot",
            "-machine", options.get("board", "pc"), "-cpu", self.cpu or self.processor(),
            "-m", "%dM" % self.memory, "-smp", "%d" % self.cores,
            "-display", "none", "-vga", "std", "-boot", "d",
            "-chardev", "pipe,id=serial,path=serial",
            "-serial", "chardev:serial",
            "-qmp", "unix:qmp,server=on,wait=off",
        ] + self.exit_device() + self.accelerator() + self.medium() + self.firmware()
        return arguments + list(options.get("arguments", []))

    def exit_device(self):
        return ["-device", "isa-debug-exit,iobase=0xf4,iosize=0x4"] if self.options.get("debug_exit", True) else []

    def medium(self):
        drive = "if=none,id=boot,format=raw,readonly=on,file=" + self.iso
        if self.options.get("medium", "cd") == "usb":
            return ["-drive", drive, "-device", "qemu-xhci", "-device", "usb-storage,drive=boot,bootindex=0"]
        return ["-drive", drive + ",media=cdrom", "-device", "ide-cd,drive=boot,bootindex=0"]

    def firmware(self):
        if self.options.get("firmware", "bios") == "bios":
            return []
        shutil.copyfile(OVMF_VARS, os.path.join(self.directory, "vars.fd"))
        return ["-drive", "if=pflash,format=raw,readonly=on,file=" + OVMF_CODE,
                "-drive", "if=pflash,format=raw,file=vars.fd"]

    def connect(self):
        """
        By pipes: a socket takes some hundred single bytes before it is full, and who polls a port gives up on one that takes
        nothing. As long as we aren't running, because the host is busy, what is written has to go somewhere.
        Before QEMU has opened the second pipe, there would be an end of the file: it makes QMP's socket after that.
        """
        path = os.path.join(self.directory, "serial")
        os.mkfifo(path + ".in")
        os.mkfifo(path + ".out")
        output = os.open(path + ".out", os.O_RDONLY | os.O_NONBLOCK)
        fcntl.fcntl(output, F_SETPIPE_SZ, self.options.get("backlog", PIPE_BYTES))
        os.set_blocking(output, True)
        self.spawn()
        give_up = time.monotonic() + 30
        while not os.path.exists(os.path.join(self.directory, "qmp")):
            self.still_starting(give_up)
        while self.input is None:
            try:
                self.input = os.open(path + ".in", os.O_WRONLY | os.O_NONBLOCK)
            except OSError:
                self.still_starting(give_up)
        return output

    def still_starting(self, give_up):
        if self.process.poll() is not None or time.monotonic() > give_up:
            with open(self.log_path("emulator")) as log:
                raise RuntimeError("QEMU did not start: " + log.read()) from None
        time.sleep(0.05)

    def switched_off(self):
        return self.status in (EXIT_CLEAN, EXIT_FAILED)

    def outcome(self):
        return {EXIT_CLEAN: "clean", EXIT_FAILED: "failed"}.get(self.status, "died")

    def qmp(self, command, **arguments):
        """One QMP command; returns its result."""
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(30)
            line.connect(os.path.join(self.directory, "qmp"))
            stream = line.makefile("rw")
            stream.readline()
            for execute in ({"execute": "qmp_capabilities"}, {"execute": command, "arguments": arguments}):
                stream.write(json.dumps(execute) + "\n")
                stream.flush()
                answer = json.loads(stream.readline())
                while "event" in answer:
                    answer = json.loads(stream.readline())
            if "error" in answer:
                raise RuntimeError("QMP %s: %s" % (command, answer["error"]["desc"]))
            return answer["return"]

    def look(self):
        try:
            return self.qmp("human-monitor-command", **{"command-line": "info registers -a"})
        except (OSError, ValueError, RuntimeError) as problem:
            return "QEMU itself doesn't answer: %s" % problem

    def physical_memory(self, address, size):
        path = os.path.join(self.directory, "memory")
        self.qmp("pmemsave", val=address, size=size, filename=path)
        with open(path, "rb") as file:
            return file.read()

    def screen(self):
        """The lines of the VGA text screen."""
        cells = self.physical_memory(0xB8000, 80 * 25 * 2)[::2].decode("latin-1")
        return [cells[row * 80:row * 80 + 80].rstrip(" \0") for row in range(25)]

    def picture(self):
        """What the screen shows, as (width, height, three bytes a pixel)."""
        path = os.path.join(self.directory, "picture")
        self.qmp("screendump", filename=path)
        with open(path, "rb") as file:
            width, height = [file.readline() for _ in range(3)][1].split()
            return int(width), int(height), file.read()


class QemuSvm(Qemu):
    name = "qemu-svm"
    vendor = "svm"

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.real_time = not self.counted

    @classmethod
    def why_not(cls):
        return None if shutil.which("qemu-system-x86_64") else "qemu-system-x86_64 is not installed"

    def processor(self):
        return "max,-la57"

    def accelerator(self):
        if self.counted:
            return ["-accel", "tcg,thread=single", "-icount", "shift=%d,sleep=off" % self.options.get("shift", 0)]
        return ["-accel", "tcg"]


class QemuKvm(Qemu):
    name = "qemu-kvm"

    @classmethod
    def why_not(cls):
        if not shutil.which("qemu-system-x86_64"):
            return "qemu-system-x86_64 is not installed"
        if not os.access("/dev/kvm", os.R_OK | os.W_OK):
            return "/dev/kvm is missing or not ours to use"
        with open("/proc/cpuinfo") as file:
            flags = next((line.split() for line in file if line.startswith("flags")), [])
        if "vmx" not in flags and "svm" not in flags:
            return "this CPU shows neither VMX nor SVM"
        for path in glob.glob("/sys/module/kvm_*/parameters/nested"):
            with open(path) as file:
                if file.read().strip() in ("Y", "1"):
                    return None
        return "KVM of this machine does not nest (/sys/module/kvm_*/parameters/nested)"

    def processor(self):
        return "host"

    def accelerator(self):
        return ["-accel", "kvm"]
