"""How the time of a function grows with its input; absolute times differ between machines."""

import time
from collections.abc import Callable

# Linear growth is below, quadratic growth above.
LINEAR = 3
# A busy machine slows single rounds, so the least time of each size counts.
LEAST_ROUNDS, MOST_ROUNDS = 3, 15
# A shorter measurement is mostly noise.
LEAST_SECONDS = 0.002
# The part of a limit below which the growth is clearly less.
CLEAR = 0.9


def growth(work: Callable[[int], object], size: int, limit: float) -> float:
    """The growth of the processor time for one doubling of the input: 2 if linear, 4 if quadratic.

    Measured over two doublings, in rounds that end once the growth is clearly below the limit.
    """
    calls = 1
    while _seconds(work, size, calls) < LEAST_SECONDS:
        calls *= 2
    small = large = found = float("inf")
    for number in range(1, MOST_ROUNDS + 1):
        small = min(small, _seconds(work, size, calls))
        large = min(large, _seconds(work, 4 * size, calls))
        found = float((large / small) ** 0.5)
        if number >= LEAST_ROUNDS and found < CLEAR * limit:
            break
    return found


def _seconds(work: Callable[[int], object], size: int, calls: int) -> float:
    begin = time.process_time()
    for _ in range(calls):
        work(size)
    return time.process_time() - begin
