"""Compare Go programs with the go.sum of their component."""

from pathlib import Path

from worker_images.harness.collection import Case
from worker_images.model.oci import elf
from worker_images.model.tree import Tree


def own(case: Case, component: str) -> str:
    """The component's module as a program must name it: the pinned version, a fork, or patches."""
    module, pin = case.modules[component], case.pins.components[component].packages
    if tree := case.lock.modules[component].tree:
        return f"{module} replaced by ./patched/{tree} (devel)"
    if pin.replace:
        return f"{module} replaced by {pin.replace.module} {pin.replace.version}"
    return f"{module} {pin.version}"


def sums(case: Case, component: str) -> dict[str, str]:
    """The hashes that a program may name, by module and version.

    They are those of go.sum. A fork has its own there; patched sources have none.
    """
    text = Tree(case.root).part(component, "go.sum").read_text()
    found = dict(line.rsplit(" ", 1) for line in text.splitlines())
    _, _, replaced = own(case, component).partition(" replaced by ")
    return found | ({own(case, component): found.get(replaced, "")} if replaced else {})


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
