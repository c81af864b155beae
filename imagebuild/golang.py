"""Go modules of components: go.mod and go.sum against the pins."""

import re
from pathlib import Path

from imagebuild.errors import DriftError
from imagebuild.plan import Component, Plan


def check(plan: Plan, root: Path) -> None:
    """Refuse a go.mod or go.sum that is not of the pinned version; raises DriftError with every stale file."""
    stale = [fault for component in plan.modules for fault in _faults(component, plan.toolchain, root)]
    if stale:
        raise DriftError("\n".join(f"{fault}; run: make lock" for fault in stale))


def _faults(component: Component, toolchain: str, root: Path) -> list[str]:
    folder = Path("images") / "components" / component.name
    source = component.source
    module, version = getattr(source, "module", ""), getattr(source, "version", "")
    faults = []
    for name, pattern in (
        ("go.mod", rf"^(?:require )?\s*{re.escape(module)} {re.escape(version)}( //.*)?$"),
        ("go.sum", rf"^{re.escape(module)} {re.escape(version)} h1:"),
    ):
        path = root / folder / name
        text = path.read_text() if path.is_file() else ""
        if not re.search(pattern, text, re.MULTILINE):
            faults.append(f"{folder / name}:1:1: {module}: not at {version}, which versions.yaml pins")
        elif name == "go.mod" and f"\ngo {toolchain}\n" not in text:
            faults.append(f"{folder / name}:1:1: go: not {toolchain}, which versions.yaml pins")
    return faults
