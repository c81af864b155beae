"""The version of the NVIDIA driver that a machine's kernel runs."""

import re
from pathlib import Path

VERSION = "/proc/driver/nvidia/version"
NO_DRIVER = f"no NVIDIA driver on this machine: there is no {VERSION}"
# Both kinds of kernel module: "... Kernel Module  535.129.03  Thu ..." and "... Open Kernel Module
# for x86_64  580.159.04  Release ...".
NVRM = re.compile(r"^NVRM version: .*?\s([0-9]+\.[0-9]+(?:\.[0-9]+)?)\s", re.MULTILINE)


def version_of(file: Path) -> str:
    """The version that a file such as /proc/driver/nvidia/version names.

    Empty where there is none.
    """
    try:
        return version_in(file.read_text(errors="replace"))
    except OSError:
        return ""


def version_in(text: str) -> str:
    """The version that the text of /proc/driver/nvidia/version names; empty where it names none."""
    found = NVRM.search(text)
    return found[1] if found else ""
