"""From figures to rows, and to the table that `make bench` prints."""
from collections import namedtuple

from operations import OPERATIONS, WHOLE
from on_keel import scaled

# keel, kvm, budget: numbers or None; shape: how they are written; vmcs: VMREADs and VMWRITEs of Keel's, as text
Row = namedtuple("Row", "what keel kvm budget shape vmcs", defaults=("",))

LOAD_BUDGET = 1.01
NO_EXIT = 20    # instructions: less than any exit costs


def kvm_figures(kvm):
    """By the same names as Keel's."""
    found = dict(kvm["bench"])
    if kvm["pair"]:
        found.update(scaled(kvm["pair"], kvm["bench"]))
    found["linux-exits"] = kvm.get("linux-exits")
    return found


def vmcs_accesses(keel, key):
    if "vmread:" + key not in keel or keel[key] < NO_EXIT:
        return ""
    return "%d+%d" % (keel["vmread:" + key], keel["vmwrite:" + key])


def rows(keel, kvm):
    """kvm: None if it wasn't measured."""
    peer = kvm_figures(kvm) if kvm else {}
    if kvm:
        peer["linux"] = kvm["linux-seconds"] / keel["linux-bare"] if "linux-bare" in keel else None
    found = []
    for operation in OPERATIONS:
        key = operation.key + (":mean" if operation.mean else "")
        if key in keel:
            found.append(Row(operation.what, keel[key], peer.get(key), operation.budget, "%d",
                             vmcs_accesses(keel, operation.key)))
    for whole in WHOLE:
        if whole.key in keel:
            found.append(Row(whole.what, keel[whole.key], peer.get(whole.key), whole.budget, whole.shape))
    for load, bare in keel.get("loads-bare", {}).items():
        if "loads-keel" in keel:
            found.append(Row("Linux load, times bare: " + load.replace("_", " "), keel["loads-keel"][load] / bare,
                             kvm["loads"][load] / bare if kvm else None, LOAD_BUDGET, "%.3f"))
    return found


def ratio(row):
    """Keel's to KVM's; none where neither of them exits."""
    if row.kvm is None or not row.kvm or max(row.keel, row.kvm) < NO_EXIT and row.shape == "%d":
        return None
    return row.keel / row.kvm


def verdict(row):
    if row.budget is None:
        return ""
    return "met" if float(row.shape % row.keel) <= row.budget else "NOT MET"


def cell(row, value):
    return "-" if value is None else "{:,}".format(round(value)) if row.shape == "%d" else row.shape % value


def show(name, found):
    print("\n%-64s %11s %11s %7s %11s %-8s %6s" % (name, "Keel", "KVM", "ratio", "budget", "", "VMCS"))
    for row in found:
        times = ratio(row)
        print(("%-64s %11s %11s %7s %11s %-8s %6s" % (row.what, cell(row, row.keel), cell(row, row.kvm), "" if times is None else "%.3f" % times,
                                                      cell(row, row.budget), verdict(row), row.vmcs)).rstrip())
