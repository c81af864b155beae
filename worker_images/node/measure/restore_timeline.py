"""Reads from runsc's debug log where the time of a restore goes.

runsc writes all events of its timer at the end of a restore, when all memory was read:
    Timer for Restore: time 1795763133489320781 07:05:33.489320781 mid Restore = re-exec
"""

import re
from collections.abc import Mapping

_EVENT = re.compile(r"Timer for Restore: time (\d+) \S+ ((?:start|mid|end) \S.*)$", re.MULTILINE)
# The figures, in the order of the events. Without a GPU there is no helper program.
EVENTS: Mapping[str, str] = {
    "at_sandbox": "mid Restore = cm.Restore RPC",
    "at_kernel": "mid Restore/kernel load = Kernel loaded",
    "at_memory": "end Restore/PagesFileLoader/async page loading",
    "at_helper": "mid Restore/postRestore = starting cuda-ckpt",
    "at_program": "mid Restore/postRestore = post restore done",
}
_LAST = "end Restore"


def read(log: str, begun: float) -> dict[str, float]:
    """Return the seconds from the call of runsc to each event; `begun` is its time of day.

    Empty until runsc has written all events.
    """
    events = {event.rstrip(): int(nanoseconds) / 1e9 for nanoseconds, event in _EVENT.findall(log)}
    if _LAST not in events:
        return {}
    return {key: events[event] - begun for key, event in EVENTS.items() if event in events}
