"""Go programs against the go.sum of the component that built them."""

from pathlib import Path

from worker_images.files import ROOT
from worker_images.model.oci import elf


def sums(component: str) -> dict[str, str]:
    """Module and version to hash, of a component's go.sum."""
    lines = (ROOT / "images" / "components" / component / "go.sum").read_text().splitlines()
    return dict(line.rsplit(" ", 1) for line in lines)


def modules(program: Path, component: str) -> dict[str, str]:
    """Module and version to hash, of what a program was built from, without the component's own
    module.
    """
    found = elf.build_info(program).modules.items()
    return {
        f"{module} {version}": digest
        for module, (version, digest) in found
        if module != f"worker/{component}"
    }
