"""Machines with several VMs: a keel.conf, and what the VMs in it print."""
import os
import re

import images
from keel import vm_output


def vm(name, **keys):
    """A section of keel.conf for a VM with our own guest in it; keys override."""
    values = {"kernel": "exits.bz", "memory": "16M"}
    values.update(keys)
    return "[vm %s]\n%s\n" % (name, "".join("%s = %s\n" % pair for pair in values.items()))


def linux(name, **keys):
    """The same with the stock kernel and the initramfs."""
    values = {"kernel": "vmlinuz", "initrd": "initrd.gz", "memory": "192M", "cmdline": "console=ttyS0 quiet"}
    values.update(keys)
    values["cmdline"] += images.Kernel.options
    return vm(name, **values)


def modules(directory, sections, replaced={}):
    """The modules of a machine with these VMs: the file itself, and what it names. `replaced` gives other files for names."""
    path = os.path.join(str(directory), "keel.conf")
    text = "\n".join(sections)
    with open(path, "w") as file:
        file.write(text)
    files = {"exits.bz": os.path.join(images.PAYLOADS, "exits.bz"), "vmlinuz": images.Kernel.path, "initrd.gz": images.INITRD, **replaced}
    return [(path, "keel.conf")] + [(files[name], name) for name in sorted(files)
                                    if re.search(r"= %s\b" % re.escape(name), text)]


def boot(machine, directory, sections, replaced={}, **options):
    return machine.keel(modules(directory, sections, replaced), **options)


def output(keel, name):
    return vm_output(keel.machine.output(), name)


def failures(keel, name):
    """What a VM with our own guest reports as wrong; it must have come to its end."""
    lines = output(keel, name)
    assert [line for line in lines if line.startswith("payload: ")], "%s did not come to its end" % name
    return [line for line in lines if line.startswith("not ok")]


def beats(keel, name):
    """By how many microseconds each heartbeat of a VM was late. A line may be shown unfinished first: its last form counts."""
    found = dict(re.findall(r"^beat n=(\d+) late_us=(\d+)$", "\n".join(output(keel, name)), re.M))
    return [int(late) for late in found.values()]


def rounds(keel, name):
    """How much work a VM with `hog` says it got done, by kind."""
    return {kind: int(count) for kind, count in re.findall(r"^hog kind=(\w+) rounds=(\d+)$", "\n".join(output(keel, name)), re.M)}


def ran(keel, name):
    """The milliseconds that each vCPU of a VM ran."""
    return [int(event["run_ms"]) for event in keel.events("exit-stats", vm=name)]
