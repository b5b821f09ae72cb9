"""Fixtures of the system tests. `machine` boots Keel with what a test wants on the back end under test."""
import os
import re
import sys

import pytest

TESTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path[:0] = [os.path.abspath(TESTS), os.path.dirname(os.path.abspath(__file__))]

import images                               # noqa: E402
from backends import BACKENDS, backend      # noqa: E402
from backends.machine import MachineError   # noqa: E402
from keel import Keel                       # noqa: E402

DEFAULT = ["qemu-svm", "bochs-vmx"]


def pytest_addoption(parser):
    parser.addoption("--backend", action="append", choices=sorted(BACKENDS), help="default: " + " and ".join(DEFAULT))
    parser.addoption("--share", metavar="DIRECTORY", help="processes with the same one share the files of tests out among themselves")
    parser.addoption("--beside", action="store_true", help="of these files, none whose machines run several cores against the host's clock")


def pytest_configure(config):
    config.addinivalue_line("markers", "only(NAME, why=...): a test for one back end, and why it is for that one alone")
    config.addinivalue_line("markers", "cores_at_once: a file whose machines run several cores against the host's clock")
    config.own_files = {}


def pytest_generate_tests(metafunc):
    if "kind" in metafunc.fixturenames:
        names = metafunc.config.getoption("--backend") or DEFAULT
        metafunc.parametrize("kind", names, indirect=True, scope="session")


def pytest_collection_modifyitems(items):
    """A test that names its back ends is not even collected for others: it does not count as skipped."""
    def wanted(item):
        only = item.get_closest_marker("only")
        params = getattr(item, "callspec", None)
        return not only or not params or params.params.get("kind") in only.args
    items[:] = [item for item in items if wanted(item)]


def take(config, name):
    """Whether this process is the one that runs a file's tests: who comes first leaves a mark."""
    try:
        open(os.path.join(config.getoption("--share"), name), "x").close()
    except FileExistsError:
        return False
    return True


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item):
    """Of another process's files nothing is run, and nothing said."""
    config, name = item.config, item.path.name
    if config.getoption("--share") and name not in config.own_files:
        crowded = config.getoption("--beside") and item.get_closest_marker("cores_at_once")
        config.own_files[name] = not crowded and take(config, name)
    return None if config.own_files.get(name, True) else True


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failure shows the end of what its machines said, even if it was noticed elsewhere, and whether the host's speed matters."""
    report = (yield).get_result()
    if not report.failed:
        return
    machines = [machine for value in getattr(item, "funcargs", {}).values() if isinstance(value, Factory) for machine in value.started]
    late = isinstance(call.excinfo.value, MachineError)     # it shows that end itself
    if machines and not late and not any(machine.real_time or machine.typed for machine in machines):
        item.user_properties.append(("counted", "yes"))
    if not late and hasattr(report.longrepr, "addsection"):
        for machine in machines:
            report.longrepr.addsection("serial line of " + machine.label, "%s\n%s: %s" % (machine.tail(), machine.label, machine.ending()))


@pytest.fixture(scope="session")
def kind(request):
    """The class of the machine under test."""
    chosen = backend(request.param)
    reason = chosen.why_not()
    if reason:
        pytest.skip("%s: %s" % (request.param, reason))
    images.Kernel.choose(chosen)
    return chosen


def whole_machine(options):
    """MiB of a machine that one VM has for itself: all of that is scrubbed at its end, and a firmware may want more."""
    return 1024 if options.get("firmware") == "ovmf" else 256


class Factory:
    """Starts machines and ends them after the test."""

    def __init__(self, kind, label):
        self.kind = kind
        self.label = label
        self.started = []

    def start(self, iso, **options):
        label = self.label + ("-%d" % len(self.started) if self.started else "")
        machine = self.kind(iso, label=label, **options)
        self.started.append(machine)
        return machine.start()

    def bare(self, cmdline="console=ttyS0", **options):
        """The guest's kernel without Keel."""
        options.setdefault("memory", whole_machine(options))
        return Keel(self.start(images.linux_iso(cmdline, options.get("firmware") == "ovmf"), **options))

    def keel(self, modules=None, options="", cmdline="console=ttyS0", acpi=(), holes=(), msrs=(), **machine):
        """Keel; without modules it gets the stock kernel with this command line, and the initramfs."""
        modules = images.linux_modules(cmdline) if modules is None else modules
        if "keel.conf" not in [line for _, line in modules]:
            machine.setdefault("memory", whole_machine(machine))
        iso = images.keel_iso(modules, ("console=line " + options).strip(), machine.get("firmware") == "ovmf", acpi,
                              holes, msrs)
        return Keel(self.start(iso, **machine))

    def linux(self, **options):
        """Keel with the stock kernel, at the guest's prompt."""
        keel = self.keel(**options)
        keel.linux_up()
        return keel

    def end(self):
        for machine in self.started:
            machine.kill()


def label_of(request):
    """Tests of several files, which may run at once, can have the same name."""
    return request.node.path.stem + "-" + re.sub(r"[^\w.-]+", "-", request.node.name).strip("-")


@pytest.fixture
def machine(kind, request):
    factory = Factory(kind, label_of(request))
    yield factory
    factory.end()


@pytest.fixture(scope="module")
def module_machine(kind, request):
    """For a machine that several tests of one file share."""
    factory = Factory(kind, os.path.basename(request.node.name).replace(".py", ""))
    yield factory
    factory.end()


@pytest.fixture(scope="session")
def capabilities(kind):
    """The optional features that Keel finds and uses on the machine under test."""
    factory = Factory(kind, "capabilities")
    try:
        event = factory.keel(modules=[]).event("cap", 60)
    finally:
        factory.end()
    return set(filter(None, event["list"].split(",")))
