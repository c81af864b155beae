"""How the time of a function grows with its input; absolute times differ between machines."""

import time
from collections.abc import Callable

ROUNDS = 3
# A shorter measurement is mostly noise.
LEAST_SECONDS = 0.002


def growth(work: Callable[[int], object], size: int) -> float:
    """The growth of the processor time for one doubling of the input: 2 if linear, 4 if quadratic.

    Measured over two doublings.
    """
    calls = 1
    while _seconds(work, size, calls) < LEAST_SECONDS:
        calls *= 2
    rounds = [[_seconds(work, each, calls) for each in (size, 4 * size)] for _ in range(ROUNDS)]
    small, large = (min(column) for column in zip(*rounds, strict=True))
    return float((large / small) ** 0.5)


def _seconds(work: Callable[[int], object], size: int, calls: int) -> float:
    begin = time.process_time()
    for _ in range(calls):
        work(size)
    return time.process_time() - begin
