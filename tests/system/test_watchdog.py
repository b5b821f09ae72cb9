"""watchdog = SECONDS: a VM that says nothing for so long has crashed."""
from test_lifecycle import FOREVER, vms, wait_beats     # noqa: F401: vms is a fixture

SILENT = {"cmdline": "fault=hang", "watchdog": "2"}


def test_bites(vms):        # noqa: F811
    """With a report of all vCPUs; the policy runs, and the others go on. Who talks isn't bitten."""
    monitor = vms(silent={**SILENT, "vcpus": "2"}, talker={"cmdline": FOREVER, "watchdog": "2"}, free="fault=spin")
    begin = monitor.vm("silent", "running")["seconds"]
    crash = monitor.event("crash", 60, vm="silent", vcpu="0")
    assert crash["reason"] == "watchdog: no output for 2 seconds"
    assert 1.9 < crash["seconds"] - begin < 8
    monitor.event("crash-end", vm="silent")
    monitor.vm("silent", "crashed", reason="crash", status="1")
    wait_beats(monitor, "talker", 30)
    assert not monitor.keel.events("crash", vm=["talker", "free"])


def test_restarts(vms):     # noqa: F811
    monitor = vms(silent={**SILENT, "on_crash": "restart"})
    for _ in range(2):
        monitor.event("crash", 60, vm="silent")
        monitor.vm("silent", "restarting", reason="crash")
        monitor.vm("silent", "running")


def test_pause(vms):        # noqa: F811
    """A paused VM may be silent; its time begins anew when it goes on."""
    monitor = vms(silent=SILENT, talker=FOREVER)
    monitor.enter()
    monitor.ask("vm pause silent")
    monitor.vm("silent", "paused")
    wait_beats(monitor, "talker", 40)
    assert monitor.state("silent") == "paused"
    assert not monitor.keel.events("crash")
    monitor.ask("vm resume silent")
    monitor.event("crash", 60, vm="silent")
