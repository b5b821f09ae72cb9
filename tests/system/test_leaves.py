"""The leaves of EPT and NPT: as large as alignment and the CPU allow, and small ones where the large are forbidden."""
import images
import pytest

MEMORY = 6144       # MiB: whatever a BIOS tells of it, some gigabytes are whole and aligned


@pytest.mark.parametrize("disable, without", [
    ("", set()),
    ("nest1g", {"1g"}),
    ("page1g", set()),     # of the hypervisor's own table alone
    ("nest2m", {"1g", "2m"}),
], ids=["all", "nest1g-off", "page1g-off", "nest2m-off"])
def test_leaves(machine, disable, without):
    keel = machine.keel(images.payload_modules("exits=cpuid"), "disable=" + disable, memory=MEMORY, counted=True)
    audit = keel.event("audit", 120)
    assert audit["result"] == "ok"
    count = {size: int(audit["leaves_" + size]) for size in ("4k", "2m", "1g")}
    assert {size for size in count if not count[size]} == without
    assert sum(count.values()) == int(audit["leaves"])
    # The guest runs in them. Its memory is not scrubbed: the machine is killed.
    keel.machine.expect(r"payload: \d+ passed, 0 failed", 120)
