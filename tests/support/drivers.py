"""The table of drivers, and the text of a kernel module's version file."""

from worker_images.files import ROOT
from worker_images.model.drivers import table
from worker_images.model.drivers.compat import Pinned
from worker_images.model.drivers.table import DRIVERS, Release

TABLE = table.read(ROOT / DRIVERS)


PINNED = Pinned("20260622.0", ("535.129.03", "580.159.04"))


OPEN = (
    "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {}  Release Build  (builder)\nGCC"
    " version:  gcc 13.3.0\n"
)


CLOSED = (
    "NVRM version: NVIDIA UNIX x86_64 Kernel Module  {}  Thu Oct 19 18:56:32 UTC 2023\nGCC version:"
    "  gcc 12.2.0\n"
)


def row(name: str) -> Release:
    """A release that the table holds."""
    return next(each for each in TABLE if each.name == name)
