"""Machines that can't run Keel: it says exactly why, on the serial line and on the screen, and stops with a failing status."""
import images
import pytest
import screen
from backends.bochs import SEABIOS

FEATURE_CONTROL = 0x3A
LOCK = 1
BOCHS = pytest.mark.only("bochs-vmx", why="a matter of Intel's CPU models")
QEMU = pytest.mark.only("qemu-svm", why="the CPU model of QEMU alone can lack SVM or nested paging")
NO_SVM = r"this machine can't run Keel: this CPU has no SVM \(AMD-V\)"
NO_VMX = r"this machine can't run Keel: the CPU has no VT-x \(CPUID shows no VMX\)"
NO_EPT = r"this machine can't run Keel: the CPU's VMX lacks EPT \(extended page tables\)"
NO_NPT = "this machine can't run Keel: this CPU's SVM has no nested paging"


def refused(keel, sentence):
    keel.line(sentence + r"(?=\r?\n)", 120)
    assert keel.finish(60) == "failed"
    assert not keel.events()


@QEMU
@pytest.mark.parametrize("lacks, sentence", [("svm", NO_SVM), ("npt", NO_NPT)], ids=["svm", "npt"])
def test_svm(machine, lacks, sentence):
    refused(machine.keel(cpu="max,-la57,-" + lacks), sentence)


@BOCHS
@pytest.mark.parametrize("model, sentence", [
    ("p4_prescott_celeron_336", NO_VMX), ("core2_penryn_t9600", NO_EPT),
], ids=["vmx", "ept"])
def test_vmx(machine, model, sentence):
    refused(machine.keel(cpu=model), sentence)


# QEMU and Bochs have no VM_CR that could be written: for AMD, tests/unit/test_svm.c has this case.
@BOCHS
def test_vmx_locked_off(machine):
    keel = machine.keel(bios=SEABIOS, msrs=[(FEATURE_CONTROL, LOCK)])
    refused(keel, r"this machine can't run Keel: VT-x is locked off by the firmware \(IA32_FEATURE_CONTROL\)")


@BOCHS
def test_vmx_left_open(machine):
    """Firmware that leaves the choice to us: Keel turns VT-x on."""
    keel = machine.keel(images.payload_modules("exits=cpuid"), bios=SEABIOS)
    keel.event("vm", 120, state="running")
    assert keel.finish(60) == "clean"


def shown(keel, read):
    """The screen's lines, once the machine has found no way to switch itself off."""
    keel.line("can't be switched off by software", 120)
    return "".join(read())


@QEMU
def test_text_screen(machine):
    keel = machine.keel(cpu="max,-la57,-npt", debug_exit=False)
    assert NO_NPT in shown(keel, keel.machine.screen)


@QEMU
def test_framebuffer(machine):
    keel = machine.keel(cpu="max,-la57,-npt", debug_exit=False, firmware="ovmf")
    assert NO_NPT in shown(keel, lambda: screen.lines(keel.machine.picture()))


@QEMU
def test_no_long_mode(machine):
    """Told by the first instructions, which can't switch anything off: the processor halts."""
    keel = machine.keel(cpu="qemu32")
    sentence = "this CPU has no 64-bit mode; Keel needs one with VT-x or SVM"
    keel.line(sentence, 120)
    assert sentence in keel.machine.screen()[0]
