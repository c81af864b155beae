"""Compare Go programs with the go.sum of their component."""

from pathlib import Path

from worker_images.files import ROOT
from worker_images.model.oci import elf


def sums(component: str) -> dict[str, str]:
    """Return the hashes in a component's go.sum, by module and version."""
    lines = (ROOT / "images" / "components" / component / "go.sum").read_text().splitlines()
    return dict(line.rsplit(" ", 1) for line in lines)


def modules(program: Path, component: str) -> dict[str, str]:
    """Return the hashes of the modules that a program was built from, by module and version.

    The component's own module, worker/NAME, is not included.
    """
    found = elf.build_info(program).modules.items()
    return {
        f"{module} {version}": digest
        for module, (version, digest) in found
        if module != f"worker/{component}"
    }
