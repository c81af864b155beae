"""The times of a restore come from runsc's debug log, once it is complete."""

from worker_images.node.measure import restore_timeline

LOG = """I1127 07:05:34.340560  1 timing.go:549] Timer for Restore: Ended.
D1127 07:05:34.340785  1 timing.go:875] Timer for Restore: time 2500000000 07:05 mid Restore = cm.Restore RPC
D1127 07:05:34.341023  1 timing.go:877] Timer for Restore: time 3000000000 07:05 end Restore/PagesFileLoader/async page loading
"""  # noqa: E501 - lines of a log
LAST = "D1 timing.go:877] Timer for Restore: time 4000000000 07:05 end Restore\n"


def test_events_are_seconds_from_the_call() -> None:
    assert restore_timeline.read(LOG + LAST, 2.0) == {"at_sandbox": 0.5, "at_memory": 1.0}


def test_log_without_its_last_event_has_no_times() -> None:
    """runsc writes that its timer ended before the events."""
    assert restore_timeline.read(LOG, 2.0) == {}
