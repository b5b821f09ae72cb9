"""ISO images for tests, built when first wanted and kept below build/isos/ by the hash of what is in them."""
import gzip
import hashlib
import lzma
import os
import struct
import subprocess
import time

from backends.machine import TOP

ISOS = os.path.join(TOP, "build", "isos")
KEEL = os.path.join(TOP, "build", "keel.elf")
KERNEL = os.path.join(TOP, "build", "guest", "vmlinuz")
INITRD = os.path.join(TOP, "build", "guest", "initrd.gz")
MODULES = os.path.join(TOP, "build", "guest", "modules.gz")     # to be put behind INITRD: drivers, in /modules
PAYLOADS = os.path.join(TOP, "build", "payload")
BUILDER = os.path.join(TOP, "iso", "build-iso")

KEEP_SECONDS = 2 * 3600     # an image that was not used for so long goes
digests = {}


def digest(path):
    """The hash of a file, computed once for each of its versions."""
    state = os.stat(path)
    key = (path, state.st_mtime_ns, state.st_size)
    if key not in digests:
        with open(path, "rb") as file:
            digests[key] = hashlib.sha256(file.read()).hexdigest()
    return digests[key]


def prune():
    for name in os.listdir(ISOS):
        path = os.path.join(ISOS, name)
        try:
            if time.time() - os.stat(path).st_mtime > KEEP_SECONDS:
                os.unlink(path)
        except FileNotFoundError:
            pass        # another test run was faster


def build(arguments, files, efi):
    os.makedirs(ISOS, exist_ok=True)
    if not efi:
        arguments = ["--platform", "bios"] + arguments
    name = hashlib.sha256(repr((arguments, [digest(path) for path in files + [BUILDER]])).encode()).hexdigest()[:24]
    path = os.path.join(ISOS, name + ".iso")
    if not os.path.exists(path):
        prune()
        own = "%s.%d.iso" % (path[:-4], os.getpid())
        subprocess.run([BUILDER, "-o", own] + arguments, check=True)
        os.rename(own, path)
    os.utime(path)
    return path


def keel_iso(modules, options="", efi=False, acpi=(), holes=(), msrs=(), elf=KEEL):
    """Keel with modules: pairs of a file and its line, whose first word is the module's name.

    acpi: files of tables that take the place of the firmware's; holes: pairs of a start and a length, taken from memory;
    msrs: pairs of a model-specific register and its value, written before Keel starts.
    """
    arguments = ["-k", elf, "-a", options]
    for path, line in modules:
        arguments += ["-m", path, line]
    for path in acpi:
        arguments += ["--acpi", path]
    for start, length in holes:
        arguments += ["--hole", "%#x" % start, "%#x" % (start + length)]
    for number, value in msrs:
        arguments += ["--wrmsr", "%#x" % number, "%#x" % value]
    return build(arguments, [elf] + [path for path, _ in modules] + list(acpi), efi)


def segments(elf):
    """Of each program header that is loaded: where it stands in the file, its contents' offset and length there."""
    table, = struct.unpack_from("<Q", elf, 32)
    count, = struct.unpack_from("<H", elf, 56)
    for header in range(table, table + 56 * count, 56):
        if struct.unpack_from("<I", elf, header)[0] == 1:
            yield (header, *struct.unpack_from("<8xQ16xQ", elf, header))


def vmlinux():
    """
    The kernel as the ELF file that is packed into the bzImage (boot protocol 2.08: payload_offset and payload_length), without the
    zeros at the end of each segment. Its PVH entry spares the guest the unpacking, which is most of a boot in Bochs.
    """
    path = os.path.join(ISOS, digest(KERNEL)[:24] + ".vmlinux")
    if not os.path.exists(path):
        with open(KERNEL, "rb") as file:
            image = file.read()
        start = ((image[0x1f1] or 4) + 1) * 512
        offset, length = struct.unpack_from("<II", image, 0x248)
        elf, end = bytearray(lzma.LZMADecompressor().decompress(image[start + offset:start + offset + length])), 0
        for header, offset, length in segments(elf):
            length = len(elf[offset:offset + length].rstrip(b"\0"))
            struct.pack_into("<Q", elf, header + 32, length)
            end = max(end, offset + length)
        struct.pack_into("<Q", elf, 40, 0)      # there are no section headers any more
        struct.pack_into("<HHH", elf, 58, 0, 0, 0)
        os.makedirs(ISOS, exist_ok=True)
        own = "%s.%d" % (path, os.getpid())
        with open(own, "wb") as out:
            out.write(elf[:end])
        os.rename(own, path)
    os.utime(path)
    return path


def program(source, directory, name="program"):
    """A compressed archive, to be put behind an initramfs, with a C program of ours as /program, or /`name`."""
    path = os.path.join(directory, name)
    subprocess.run(["gcc", "-O2", "-Wall", "-Werror", "-static", "-o", path, source], check=True)
    archive = subprocess.run(["cpio", "--create", "--format=newc", "--owner=+0:+0", "--quiet"], cwd=directory, check=True,
                             input=name.encode() + b"\n", stdout=subprocess.PIPE).stdout
    with open(path + ".gz", "wb") as out:
        out.write(gzip.compress(archive, mtime=0))
    return path + ".gz"


def linux_iso(cmdline="console=ttyS0", efi=False, initrd=INITRD):
    """The same kernel and initramfs bare, to compare with."""
    return build(["--linux", KERNEL, cmdline, "--initrd", initrd], [KERNEL, initrd], efi)


class Kernel:
    """What is booted where a test wants a Linux, and not this or that way to enter it."""
    path = KERNEL
    options = ""    # for its command line

    @classmethod
    def choose(cls, kind):
        if kind.name == "bochs-vmx":
            # Two thirds of a boot go to the unpacking there, and half of the rest to the cryptographic algorithms' tests of themselves.
            cls.path, cls.options = vmlinux(), " cryptomgr.notests"


def linux_modules(cmdline="console=ttyS0", stock=False):
    """stock: the bzImage as Debian has it, with no other option, wherever it runs."""
    kernel = (KERNEL, "vmlinuz " + cmdline) if stock else (Kernel.path, "vmlinuz " + cmdline + Kernel.options)
    return [kernel, (INITRD, "initrd.gz")]


def payload_modules(cmdline=""):
    """Our own test guest; its command line says what it does (guests/payload/main.c)."""
    return [(os.path.join(PAYLOADS, "exits.bz"), ("exits " + cmdline).strip())]
