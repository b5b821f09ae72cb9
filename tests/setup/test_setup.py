"""What the set-up scripts say when they can't do their work: which download failed and what to do, or the one line to run.

The scripts are run for real, in a copy of their part of the tree, against an archive at a port of this machine where nobody
listens. Nothing of the system is changed: apt is given directories of its own through APT_CONFIG.
"""
import os
import shutil
import subprocess
import tempfile

import pytest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DEAD = "127.0.0.1:9"
ARCHIVE = "http://%s/debian/" % DEAD
NOBODY = 65534
LIST = DEAD + "_debian_dists_bookworm_"     # how apt calls the files of that archive's index

APT_CONFIG = """\
Dir::Etc::SourceList "{0}/apt/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Parts "/dev/null";
Dir::State "{0}/apt";
Dir::State::Lists "{0}/apt/lists";
Dir::State::status "{0}/apt/status";
Dir::Cache "{0}/apt/cache";
Acquire::Retries "0";
Debug::NoLocking "true";
"""
PACKAGE = """\
Package: {name}
Version: 1
Architecture: amd64
Depends: {depends}
Filename: pool/{name}.deb
Size: 1000
SHA256: 0000000000000000000000000000000000000000000000000000000000000000

"""


class Tree:
    """A copy of the scripts, with an apt and programs of its own."""

    def __init__(self, path):
        self.path = path
        for name in ("apt/lists/partial", "apt/cache/archives/partial", "bin", "tests", "build"):
            os.makedirs(os.path.join(path, name))
        shutil.copytree(os.path.join(TOP, "tests", "setup"), os.path.join(path, "tests", "setup"))
        shutil.copytree(os.path.join(TOP, "tests", "backends"), os.path.join(path, "tests", "backends"))
        self.write("apt/status", "")
        self.write("apt/apt.conf", APT_CONFIG.format(path))
        self.write("apt/sources.list", "deb [trusted=yes] %s bookworm main\n" % ARCHIVE)
        self.search = os.path.join(path, "bin") + ":" + os.environ["PATH"]

    def write(self, name, text, mode=0o644):
        target = os.path.join(self.path, name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "w") as file:
            file.write(text)
        os.chmod(target, mode)

    def read(self, name):
        with open(os.path.join(self.path, name)) as file:
            return file.read()

    def program(self, name, script):
        """One that is found before the system's."""
        self.write("bin/" + name, "#!/bin/sh\n" + script, 0o755)

    def index(self, **packages):
        """What apt knows of the archive: names of packages, with _ for -, and what they depend on."""
        self.write("apt/lists/%sRelease" % LIST, "Origin: Debian\nLabel: Debian\nCodename: bookworm\n")
        self.write("apt/lists/%smain_binary-amd64_Packages" % LIST, "".join(
            PACKAGE.format(name=name.replace("_", "-"), depends=depends) for name, depends in packages.items()))

    def run(self, script, user=None):
        """The status and all the output; user: a number, if we may choose."""
        environment = {"PATH": self.search, "APT_CONFIG": os.path.join(self.path, "apt", "apt.conf"), "LC_ALL": "C",
                       "HOME": self.path}
        who = {"user": user, "group": user, "extra_groups": []} if user and os.getuid() == 0 else {}
        done = subprocess.run([os.path.join(self.path, "tests", script)], stdin=subprocess.DEVNULL, env=environment,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, **who)
        return done.returncode, done.stdout

    def fails(self, script, *sentences, user=None):
        status, output = self.run(script, user)
        assert status == 1, output
        for sentence in sentences:
            assert sentence in output
        return output


@pytest.fixture
def tree():
    with tempfile.TemporaryDirectory(prefix="keel-setup.") as path:
        os.chmod(path, 0o777)       # for the tests that are not root
        yield Tree(path)


# deps: dpkg says that nothing is installed, apt knows of nothing

@pytest.fixture
def bare(tree):
    tree.program("dpkg-query", "[ ! -e %s/installed ] || printf '%%s installed\\n' \"$@\"\n" % tree.path)
    os.chmod(os.path.join(tree.path, "build"), 0o777)
    return tree


AS_ROOT = pytest.mark.skipif(os.getuid() != 0, reason="only root runs apt itself")
LINE = "apt-get install -y --no-install-recommends gcc g++ make"


@AS_ROOT
def test_deps_dead_archive(bare):
    output = bare.fails("setup/deps", "deps: apt could not download and install: gcc g++ make", "Check the network", LINE)
    assert "build/deps.log" in output and DEAD in bare.read("build/deps.log")


@AS_ROOT
def test_deps_no_index(bare):
    bare.write("apt/apt.conf", bare.read("apt/apt.conf") + 'APT::Update::Error-Mode "any";\n')
    bare.fails("setup/deps", "the download of apt's package index failed (apt-get update)", "Check the network", DEAD)


def test_deps_sudo_asks(bare):
    bare.program("sudo", "echo 'sudo: a password is required' >&2; exit 1\n")
    bare.fails("setup/deps", "I am not root: gcc g++ make", "Run this, then try again:\n    sudo %s" % LINE, user=NOBODY)


def test_deps_no_sudo(bare):
    for name in ("env", "bash", "sh", "dirname", "id", "awk"):
        os.symlink(shutil.which(name), os.path.join(bare.path, "bin", name))
    bare.search = os.path.join(bare.path, "bin")
    bare.fails("setup/deps", "I am not root: gcc g++ make", "Run this, then try again:\n    su -c '%s" % LINE, user=NOBODY)


def test_deps_sudo_works(bare):
    bare.program("sudo", 'shift\n"$@"\n')
    bare.program("apt-get", 'echo "$DEBIAN_FRONTEND: apt-get $*" >%s/build/called; touch %s/installed\n' %
                 (bare.path, bare.path))
    os.chmod(bare.path, 0o777)
    status, output = bare.run("setup/deps", user=NOBODY)
    assert status == 0, output
    assert bare.read("build/called").startswith("noninteractive: " + LINE)


def test_deps_all_there(bare):
    """No apt, no sudo: one question to dpkg."""
    bare.write("installed", "")
    for name in ("apt-get", "sudo"):
        bare.program(name, "touch %s/build/called\n" % bare.path)
    assert bare.run("setup/deps", user=NOBODY) == (0, "")
    assert not os.path.exists(os.path.join(bare.path, "build", "called"))


# guest

KERNEL = "linux-image-6.1.0-0-amd64"


def test_guest_no_index(tree):
    tree.fails("setup/guest", "guest: apt knows no linux-image-amd64", "Run 'apt-get update' as root")


def test_guest_kernel(tree):
    tree.index(linux_image_amd64=KERNEL, **{KERNEL.replace("-", "_"): ""})
    tree.fails("setup/guest", "the download of Debian's package '%s' failed" % KERNEL, "Could not connect to " + DEAD,
               "run 'apt-get update' as root", "put the package's .deb file into build/guest/deb by hand")


def test_guest_busybox(tree):
    tree.write("build/guest/vmlinuz", "")
    tree.write("build/guest/version", "6.1\n")
    tree.write("build/guest/modules.gz", "")
    tree.index(busybox_static="")
    tree.fails("setup/guest", "the download of Debian's package 'busybox-static' failed")


def test_guest_cut_off(tree):
    """What a broken download left behind isn't taken for the package the next time."""
    tree.index(linux_image_amd64=KERNEL, **{KERNEL.replace("-", "_"): ""})
    tree.program("apt-get", 'echo called >>%s/called; eval "name=\\${$#}"; echo half >${name}_1_amd64.deb; exit 100\n' %
                 tree.path)
    for _ in range(2):
        tree.fails("setup/guest", "the download of Debian's package '%s' failed" % KERNEL)
    assert tree.read("called").count("called") >= 2


def test_guest_others(tree):
    tree.index(ipxe="")
    tree.write("build/guest/deb/memtest86+_1_amd64.deb", "")
    tree.program("dpkg-deb", "")
    tree.fails("setup/guest-others", "the download of Debian's package 'ipxe' failed")


# debian


def test_debian_no_archive(tree):
    tree.fails("setup/debian", "debian: apt knows no Debian archive", "Run 'apt-get update' as root")


def test_debian_dead_archive(tree):
    tree.index()
    tree.program("debootstrap", "echo E: Failed getting release file; exit 1\n")
    tree.fails("setup/debian", "E: Failed getting release file", "debian: debootstrap failed", "The whole log is build/guest/debian.log.")


def test_debian_not_root(tree):
    tree.program("apt-get", "echo %s\n" % ARCHIVE)
    tree.program("sudo", "exit 1\n")
    os.chmod(os.path.join(tree.path, "build"), 0o777)
    status, output = tree.run("setup/debian", user=NOBODY)
    assert status and "debootstrap needs root" in output and "sudo tests/setup/debian" in output


# bochs-build

SOURCE = ARCHIVE + "pool/main/b/bochs/bochs_3.0+dfsg.orig.tar.xz"


def source_archive(tree, uris):
    """An apt whose index is there, and names this source."""
    tree.program("apt-get", 'case " $* " in *" indextargets "*) echo %s ;; *" --print-uris "*) echo "%s" ;; esac\n' %
                 (ARCHIVE, uris))


def test_bochs_no_archive(tree):
    tree.fails("backends/bochs-build", "bochs-build: apt knows no Debian archive", "Run 'apt-get update' as root")


def test_bochs_index(tree):
    tree.index()
    tree.fails("backends/bochs-build", "the download of the source index of Debian's suite 'trixie' failed (from %s)" % ARCHIVE,
               "Check the network and the mirror")


def test_bochs_other_version(tree):
    source_archive(tree, "")
    tree.fails("backends/bochs-build", "the source index of 'trixie' has no bochs 3.0", "build/bochs/bochs-3.0.orig.tar by hand")


def test_bochs_source(tree):
    source_archive(tree, "'%s' bochs.orig.tar.xz 1000 SHA256:%s" % (SOURCE, "0" * 64))
    tree.fails("backends/bochs-build", "the download of the Bochs source failed (%s)" % SOURCE, "Check the network",
               "build/bochs/bochs-3.0.orig.tar by hand")
