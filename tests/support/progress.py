"""Progress of long fixtures, which pytest's output capture would hide."""

from collections.abc import Callable

import pytest


def past_capture(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """Return a function that prints a line of progress past pytest's output capture."""
    reporter = pytestconfig.pluginmanager.getplugin("terminalreporter")
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")
    assert reporter
    assert capture

    def show(line: str) -> None:
        with capture.global_and_fixture_disabled():
            reporter.ensure_newline()
            reporter.write_line(f"» {line}")

    return show
