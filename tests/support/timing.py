"""How the time of a function grows with its input; absolute times differ between machines."""

import time
from collections.abc import Callable

ROUNDS = 3


def growth(work: Callable[[int], object], size: int) -> float:
    """The growth of the processor time for one doubling of the input: 2 if linear, 4 if quadratic.

    Measured over two doublings.
    """
    small, large = (min(_seconds(work, each) for _ in range(ROUNDS)) for each in (size, 4 * size))
    return float((large / small) ** 0.5)


def _seconds(work: Callable[[int], object], size: int) -> float:
    begin = time.process_time()
    work(size)
    return time.process_time() - begin
