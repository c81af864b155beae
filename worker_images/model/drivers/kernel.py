"""The version of the NVIDIA driver in a machine's kernel."""

import re
from pathlib import Path

VERSION = "/proc/driver/nvidia/version"
NO_DRIVER = f"no NVIDIA driver on this machine: {VERSION} does not exist"
# The proprietary module, "... Kernel Module  535.129.03  Thu ...", and the open one, "... Open
# Kernel Module for x86_64  580.159.04  Release ...".
NVRM = re.compile(r"^NVRM version: .*?\s([0-9]+\.[0-9]+(?:\.[0-9]+)?)\s", re.MULTILINE)


def version_of(file: Path) -> str:
    """The version in a file such as /proc/driver/nvidia/version; empty without file or version."""
    try:
        return version_in(file.read_text(errors="replace"))
    except OSError:
        return ""


def version_in(text: str) -> str:
    """The version in the text of /proc/driver/nvidia/version; empty if there is none."""
    found = NVRM.search(text)
    return found[1] if found else ""
