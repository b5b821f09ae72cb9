"""From figures to rows, and to the table that `make bench` prints."""
from collections import namedtuple

from operations import NO_EXIT_AT_ALL, OPERATIONS, WHOLE
from on_keel import scaled

# keel, kvm, budget: numbers or None; shape: how they are written; vmcs: VMREADs and VMWRITEs of Keel's, as text; aim: which part of
# KVM's is wanted, where there is such an aim
Row = namedtuple("Row", "what keel kvm budget shape vmcs aim", defaults=("", None))

LOAD_BUDGET = 1.01
SWITCHES = ":switches"
TOLD = [load + SWITCHES for load in ("pipes", "hackbench")]     # beside times, where these depend on it
NO_EXIT = 20    # instructions: less than any exit costs
TENTH = 0.1


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
                             vmcs_accesses(keel, operation.key), None if operation.key in NO_EXIT_AT_ALL else TENTH))
    for whole in WHOLE:
        if whole.key in keel:
            found.append(Row(whole.what, keel[whole.key], peer.get(whole.key), whole.budget, whole.shape, "", whole.aim))
    return found + load_rows(keel, kvm or {})


def load_rows(keel, kvm):
    """Times bare. Two CPUs on one core have a bare Linux with one beside them, since that core can't be two without Keel."""
    parts = [("", "loads-bare", "loads-keel", kvm.get("loads"), LOAD_BUDGET),
             (", two CPUs on two cores", "cores-bare", "cores-keel", None, LOAD_BUDGET),
             (", two CPUs on one core", "loads-bare", "loads-two", kvm.get("loads-two"), None)]
    found = []
    for how, bare, ours, theirs, budget in parts:
        for load, figure in keel.get(ours, {}).items():
            if load not in keel.get(bare, {}) or load.endswith(SWITCHES) and load not in TOLD:
                continue
            what = load.replace(SWITCHES, ", its context switches").replace("_", " ")
            found.append(Row("Linux load, times bare: %s%s" % (what, how), figure / keel[bare][load],
                             theirs[load] / keel[bare][load] if theirs else None, None if load in TOLD else budget, "%.3f"))
    return found


def ratio(row):
    """Keel's to KVM's; none where neither of them exits."""
    if row.kvm is None or not row.kvm or max(row.keel, row.kvm) < NO_EXIT and row.shape == "%d":
        return None
    return row.keel / row.kvm


def difference(row, other):
    """Of two measurements of one thing, as a part of the greater."""
    return abs(row.keel - other.keel) / max(row.keel, other.keel)


def verdict(row):
    if row.budget is None:
        return ""
    return "met" if float(row.shape % row.keel) <= row.budget else "NOT MET"


def aim(row):
    """Whether it costs no more than the part of KVM's that is wanted, or by how much it misses that."""
    if row.aim is None or row.kvm is None or max(row.keel, row.kvm) < NO_EXIT:
        return ""
    missed = row.keel - row.kvm * row.aim if row.keel >= NO_EXIT else 0
    return "met" if missed <= 0 else "+%s" % cell(row, missed)


def cell(row, value):
    return "-" if value is None else "{:,}".format(round(value)) if row.shape == "%d" else row.shape % value


def show(name, found):
    line = "%-64s %11s %11s %7s %8s %11s %-8s %6s"
    print("\n" + line % (name, "Keel", "KVM", "ratio", "aim", "budget", "", "VMCS"))
    for row in found:
        times = ratio(row)
        print((line % (row.what, cell(row, row.keel), cell(row, row.kvm), "" if times is None else "%.3f" % times, aim(row),
                       cell(row, row.budget), verdict(row), row.vmcs)).rstrip())
    aims = [aim(row) for row in found if row.aim == TENTH and aim(row)]
    print("%d of %d operations cost at most a tenth of KVM's" % (aims.count("met"), len(aims)))
