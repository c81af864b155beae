"""Go modules of components: go.mod and go.sum against the pins."""

import re
from collections.abc import Iterator
from pathlib import Path

from imagebuild.errors import DriftError
from imagebuild.pins import PackagesSource
from imagebuild.plan import Component, Plan


def check(plan: Plan, root: Path) -> None:
    """Refuse a go.mod or go.sum that is not of the pinned version; raises DriftError with every stale file."""
    stale = [fault for component in plan.modules for fault in _faults(component, plan.toolchain, root)]
    if stale:
        raise DriftError("\n".join(f"{fault}; run: make lock" for fault in stale))


def _faults(component: Component, toolchain: str, root: Path) -> Iterator[str]:
    assert isinstance(component.source, PackagesSource)
    module, version = component.source.module, component.source.version
    pinned, release = re.escape(f"{module} {version}"), re.escape(toolchain)
    for name, pattern, fault in (
        ("go.mod", rf"^(?:require )?\s*{pinned}( //.*)?$", f"{module}: not at {version}"),
        ("go.mod", rf"^go {release}$", f"go: not {toolchain}"),
        ("go.sum", rf"^{pinned} h1:", f"{module}: not at {version}"),
    ):
        file = Path("images") / "components" / component.name / name
        text = (root / file).read_text() if (root / file).is_file() else ""
        if not re.search(pattern, text, re.MULTILINE):
            yield f"{file}:1:1: {fault}, which versions.yaml pins"
