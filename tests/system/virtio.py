"""VMs with virtio devices: the kernel's own drivers behind the initramfs, and images for disks."""
import hashlib
import os
import random
import subprocess

import images
import vms

# In the order in which they need each other.
PCI = ["virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci"]
CDROM = ["scsi_common", "scsi_mod", "virtio_scsi", "cdrom", "sr_mod"]
EXT4 = ["crc16", "crc32c_generic", "mbcache", "jbd2", "ext4"]


def load(keel, *modules, bus=True):
    """Loads drivers in the guest."""
    names = (PCI if bus else []) + list(modules)
    keel.shell("for m in %s; do insmod /modules/$m.ko || break; done" % " ".join(names), 60)


def image(directory, name, size, seed=1):
    """A disk image full of noise; returns (path, its SHA-256)."""
    path = os.path.join(str(directory), name)
    data = random.Random(seed).randbytes(size)
    with open(path, "wb") as file:
        file.write(data)
    return path, hashlib.sha256(data).hexdigest()


def archive(directory, files):
    """An initramfs with these files, given as names and texts, in its root directory."""
    root = os.path.join(str(directory), "root")
    os.makedirs(root, exist_ok=True)
    for name, text in files.items():
        with open(os.path.join(root, name), "w") as file:
            file.write(text)
    path = os.path.join(str(directory), "files.cpio")
    with open(path, "wb") as out:
        subprocess.run(["cpio", "--create", "--format=newc", "--quiet", "--owner=+0:+0"], cwd=root, check=True, stdout=out,
                       input="\n".join(sorted(files)).encode())
    return path


def initrd(directory, archives=()):
    """The initramfs with the drivers in it."""
    path = os.path.join(str(directory), "virtio.gz")
    with open(path, "wb") as out:
        for part in (images.INITRD, images.MODULES, *archives):
            with open(part, "rb") as file:
                out.write(file.read())
                out.write(b"\0" * (-out.tell() % 4))
    return path


def boot(machine, directory, sections, files=(), archives=(), **options):
    """A machine with these VMs (vms.linux); files: pairs of a path and a module's name; archives: more of the initramfs."""
    modules = [(path, line) for path, line in vms.modules(directory, sections) if line != "initrd.gz"]
    return machine.keel(modules + [(initrd(directory, archives), "initrd.gz")] + list(files), **options)


def section(name, disks=(), nets=(), **keys):
    """vms.linux with disks and nets, which are lists."""
    text = vms.linux(name, **keys)
    return text + "".join("disk = %s\n" % disk for disk in disks) + "".join("net = %s\n" % net for net in nets)


def run(*commands):
    """For the kernel's command line: has the guest's first process run these, then switch off."""
    text = "; ".join(commands)
    return "keel.run=" + "".join(c if c.isalnum() or c in "/._-" else "+" if c == " " else "%%%02X" % ord(c) for c in text)


def loading(*modules):
    """The command that loads drivers."""
    return "for m in %s; do insmod /modules/$m.ko; done" % " ".join(PCI + list(modules))
