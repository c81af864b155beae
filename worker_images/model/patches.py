"""images/components/NAME/patches: changes to a component's Go module, in order of their names."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from worker_images.errors import Finding
from worker_images.files import text_digest
from worker_images.model import lock
from worker_images.model.document import quoted, raise_findings
from worker_images.model.tree import Tree

NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,99}\.patch")
# A file of a patch, with or without git's additions.
HEADER = re.compile(r"(?:---|\+\+\+|(?:rename|copy) (?:from|to)) ([^\t\r]*)")
HUNK = re.compile(r"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")
FORK = "publish a fork instead: docs/forks.md"
# What the program patch does not apply, or would write as something else than a file.
UNSUPPORTED = re.compile(r"GIT binary patch|Binary files .* differ|(?:new file|new) mode 1[26]0000")


@dataclass(frozen=True)
class Patch:
    """A patch: its place below images/, and its text."""

    place: str
    text: str

    @property
    def locked(self) -> lock.Patch:
        """Its entry in the lock."""
        return lock.Patch(Path(self.place).name, text_digest(self.text))


def folder(component: str) -> Path:
    """The folder of a component's patches, below images/."""
    return Path("components") / component / "patches"


def read(root: Path, component: str) -> tuple[Patch, ...]:
    """Read a component's patches, in order; raises DocumentError.

    Each must be a unified diff of files inside the module.
    """
    found, findings = list[Patch](), list[Finding]()
    tree = Tree(root)
    for path in sorted(tree.part(component, "patches").glob("*")):
        place = str(folder(component) / path.name)
        text = path.read_bytes().decode(errors="replace") if path.is_file() else ""
        found.append(Patch(place, text))
        findings += [
            Finding(tree.name(path), line, 1, quoted(path.name), what, why, fix)
            for line, what, why, fix in _faults(path.name, text)
        ]
    raise_findings(findings)
    return tuple(found)


def _faults(name: str, text: str) -> Iterator[tuple[int, str, str, str]]:
    """Each fault of a patch: its line, what is wrong, why, and what to do."""
    if not NAME.fullmatch(name):
        why = "the folder holds only files whose names end with .patch"
        yield 1, "not a name of a patch", why, "rename it, such as 0001-drivers.patch"
        return
    if "\ufffd" in text:
        yield 1, "not UTF-8", "patches are text", "convert it"
        return
    paths = 0
    for number, line in _outside_hunks(text):
        if UNSUPPORTED.match(line):
            why = "patches change text files"
            yield number, quoted(line), why, FORK
        elif header := HEADER.match(line):
            paths += 1
            if Path(header[1]).name in {"go.mod", "go.sum"}:
                why = "the component's go.sum has the modules of the original"
                yield number, f"{quoted(header[1])} lists modules", why, FORK
            elif not _is_inside(header[1], stripped=line[0] in "-+"):
                what = f"{quoted(header[1])} is not a file of the module"
                why = "the first folder is left out, and no path may contain .."
                yield number, what, why, "write paths as git diff does: a/FILE and b/FILE"
    if not paths:
        yield 1, "no line begins with --- or +++", "not a unified diff", "make it with git diff"


def _is_inside(path: str, *, stripped: bool) -> bool:
    """Whether a path, without its first element if that is stripped, is one of the module."""
    parts = PurePosixPath(path).parts[stripped:]
    plain = not path.startswith(("/", '"')) and ".." not in parts
    return path == "/dev/null" or (plain and bool(parts))


def _outside_hunks(text: str) -> Iterator[tuple[int, str]]:
    """The lines of a patch that are not lines of files, with their numbers."""
    old = new = 0
    for number, line in enumerate(text.split("\n"), start=1):
        if old > 0 or new > 0:
            old -= line[:1] in {"", " ", "-"}
            new -= line[:1] in {"", " ", "+"}
        elif hunk := HUNK.match(line):
            old, new = int(hunk[1] or 1), int(hunk[2] or 1)
        else:
            yield number, line
