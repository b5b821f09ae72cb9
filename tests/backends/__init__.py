"""The machines that Keel is run on. backend(NAME) gives the class; see machine.py for what it can do."""
from .bochs import BochsVmx
from .qemu import QemuKvm, QemuSvm

# Best first: `make run` takes the first that this machine has.
BACKENDS = {kind.name: kind for kind in (QemuKvm, QemuSvm, BochsVmx)}


def backend(name):
    if name not in BACKENDS:
        raise SystemExit("no back end '%s'; there are: %s" % (name, ", ".join(BACKENDS)))
    return BACKENDS[name]
