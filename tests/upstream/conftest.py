"""Fixtures: the stand-in internet, and images built from it."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.progress import past_capture
from tests.upstream import stand_in
from tests.upstream.stand_in import StandIn
from worker_images.harness.options import not_run

LAYER = "upstream"


@pytest.fixture(scope="session")
def progress(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """A function that prints a line of progress past pytest's output capture."""
    return past_capture(pytestconfig)


@pytest.fixture(scope="session")
def upstream(progress: Callable[[str], None], pytestconfig: pytest.Config) -> Iterator[StandIn]:
    """The stand-in internet, which needs root for its namespaces."""
    command = ["unshare", "--mount", "--net", "true"]
    if os.geteuid() or subprocess.run(command, check=False).returncode:
        not_run(pytestconfig, LAYER, "namespaces need root with CAP_SYS_ADMIN")
    with stand_in.started(progress) as found:
        yield found


@pytest.fixture(scope="session")
def faulty_checkout(upstream: StandIn) -> Path:
    """A checkout for builds that fail."""
    return upstream.checkout("faulty")
