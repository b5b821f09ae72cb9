"""iso/mkiso: a bad description of VMs is refused before anything is written, a good one becomes an image with all it names.

No machine is started. The image is looked into with xorriso.
"""
import os
import re
import subprocess

import images
import pytest

MKISO = os.path.join(images.TOP, "iso", "mkiso")
DEMO = os.path.join(images.TOP, "iso", "demo.conf")
READER = os.path.join(images.TOP, "build", "keelconf")

GOOD = """\
[vm a]
kernel = vmlinuz
initrd = sub/initrd.gz
memory = 64M
[vm b]
kernel = vmlinuz        # shared
initrd = initrd.gz
disk = link.img,ro
cmdline = quiet # file.img
memory = 64M
"""


@pytest.fixture
def place(tmp_path):
    """A directory with files to name; returns a function that writes keel.conf there and calls mkiso."""
    (tmp_path / "sub").mkdir()
    for name in ("vmlinuz", "initrd.gz", "sub/initrd.gz", "file.img"):
        (tmp_path / name).write_text("this is %s\n" % name)
    (tmp_path / "link.img").symlink_to("file.img")

    def mkiso(text, *arguments):
        (tmp_path / "keel.conf").write_bytes(text.encode())
        command = [MKISO, "keel.conf", "out.iso", "--platform", "bios"] + list(arguments)
        return subprocess.run(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    mkiso.path = tmp_path
    return mkiso


def refused(place, text, *lines):
    before = sorted(os.listdir(place.path) + ["keel.conf"])
    done = place(text)
    assert done.returncode == 1
    assert done.stdout.split("\n")[:-1] == list(lines)
    assert sorted(os.listdir(place.path)) == before


def extracted(iso, target):
    """The image's /boot, as a directory."""
    subprocess.run(["xorriso", "-osirrox", "on", "-indev", str(iso), "-extract", "/boot", str(target)], check=True,
                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return target


def menu_lines(boot):
    lines = [line.strip() for line in (boot / "grub" / "grub.cfg").read_text().split("\n")]
    return [line for line in lines if line.startswith(("multiboot2 ", "module2 "))]


def test_bad_value(place):
    refused(place, GOOD.replace("memory = 64M", "memory = 64", 1),
            "keel.conf:4: memory takes a size from 4M upwards, such as 512M or 2G, not '64'")


def test_missing_file(place):
    refused(place, GOOD.replace("sub/", "sup/"), "keel.conf:3: initrd 'sup/initrd.gz' is missing")


def test_directory_for_a_file(place):
    refused(place, GOOD.replace("sub/initrd.gz", "sub"), "keel.conf:3: initrd 'sub' is missing")


def test_all_faults(place):
    refused(place, "colour = blue\n[keel]\non_idle = sleep\n" + GOOD + "vcpus = 65\ndisk = no.img\n",
            "keel.conf:1: 'colour = blue' stands before the first section",
            "keel.conf:3: on_idle takes poweroff, reboot, halt or monitor, not 'sleep'",
            "keel.conf:14: vcpus takes a number from 1 to 64, not '65'",
            "keel.conf:15: disk 'no.img' is missing")


def test_no_vm(place):
    refused(place, "", "keel.conf:1: there is no VM: add a section [vm NAME]")


def test_too_many_files(place):
    text = ""
    for number in range(128):
        (place.path / ("f%d" % number)).write_text("x")
        text += "[vm v%d]\nmemory = 4M\n" % number if number % 8 == 0 else ""
        text += ("kernel" if number % 8 == 0 else "initrd") + " = f%d\n" % number
    refused(place, text, "keel.conf:160: 'f127' is one file more than 127")


def test_unreadable(tmp_path):
    done = subprocess.run([READER, str(tmp_path / "none.conf")], stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2 and "none.conf: No such file" in done.stderr
    done = subprocess.run([MKISO, "none.conf", "out.iso"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == 1 and os.listdir(tmp_path) == []


def test_image(place, tmp_path):
    """What the description names is on the image, once, and GRUB's menu calls it what the description does."""
    done = place(GOOD, "-a", "log=debug console=line")
    assert done.returncode == 0, done.stdout
    boot = extracted(tmp_path / "out.iso", tmp_path / "boot")
    lines = menu_lines(boot)
    assert lines[0] == "multiboot2 /boot/keel.elf 'log=debug' 'console=line'"
    modules = dict(reversed([word.strip("'") for word in line.split()[1:]]) for line in lines[1:])
    assert lines[1] == "module2 /boot/keel.conf 'keel.conf'"
    assert list(modules) == ["keel.conf", "vmlinuz", "sub/initrd.gz", "initrd.gz", "link.img"]
    assert len(set(modules.values())) == 5
    assert sorted(["/boot/grub", "/boot/keel.elf"] + list(modules.values())) == sorted(
        "/boot/" + name for name in os.listdir(boot))
    for name, path in modules.items():
        file = boot / path[len("/boot/"):]
        assert file.read_bytes() == (tmp_path / name).read_bytes(), name
        assert not file.is_symlink()


def test_demo(tmp_path):
    """The demo's description is good, and a newcomer finds two VMs of two CPUs in it."""
    done = subprocess.run([MKISO, DEMO, str(tmp_path / "demo.iso"), "--platform", "bios"])
    assert done.returncode == 0
    boot = extracted(tmp_path / "demo.iso", tmp_path / "boot")
    assert [line.split()[-1] for line in menu_lines(boot)[1:]] == [
        "'keel.conf'", "'../build/guest/vmlinuz'", "'../build/guest/initrd.gz'"]
    text = (boot / "keel.conf").read_text()
    assert text.count("\n[vm ") == 2 and len(re.findall(r"^vcpus += 2\b", text, re.M)) == 2
