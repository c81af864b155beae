"""Forks of Go modules, and patches, for tests."""

import contextlib
import difflib
import hashlib
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

# The text of runc's help that a fork changes.
ORIGINAL, MARK = "Open Container Initiative runtime", "runtime of a fork"


class Silent(SimpleHTTPRequestHandler):
    """Serves a folder."""

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - inherited
        """Write nothing."""


def publish(original: Path, proxy: Path, module: str, version: str, mark: str = MARK) -> None:
    """Add a fork of runc to the folder of a module proxy; its go.mod keeps the original's path."""
    folder = proxy / module / "@v"
    folder.mkdir(parents=True, exist_ok=True)
    with (
        zipfile.ZipFile(original) as old,
        zipfile.ZipFile(folder / f"{version}.zip", "w") as new,
    ):
        prefix = f"{_prefix(old)}/"
        for name in old.namelist():
            inside, content = name.removeprefix(prefix), old.read(name)
            if inside == "go.mod":
                (folder / f"{version}.mod").write_bytes(content)
            if inside == "main.go":
                assert ORIGINAL.encode() in content
                content = content.replace(ORIGINAL.encode(), mark.encode())
            # Equal bytes each time, so that the engine's cache finds them again.
            info = zipfile.ZipInfo(f"{module}@{version}/{inside}")
            new.writestr(info, content, zipfile.ZIP_DEFLATED)
    (folder / f"{version}.info").write_text(json.dumps({"Version": version}))
    (folder / "list").write_text(f"{version}\n")


def source(archive: Path, name: str) -> str:
    """A file of a module's zip."""
    with zipfile.ZipFile(archive) as files:
        return files.read(f"{_prefix(files)}/{name}").decode()


def _prefix(files: zipfile.ZipFile) -> str:
    """The folder of all files: the module's path, with its version after the only @."""
    path, _, rest = files.namelist()[0].partition("@")
    return f"{path}@{rest.split('/')[0]}"


def tree(archive: Path, changes: Mapping[str, Callable[[str], str]]) -> str:
    """The digest of a module's files with changes: SHA-256 of the lines that sha256sum prints."""
    with zipfile.ZipFile(archive) as files:
        prefix = f"{_prefix(files)}/"
        contents = {name.removeprefix(prefix): files.read(name) for name in files.namelist()}
    for name, change in changes.items():
        contents[name] = change(contents[name].decode()).encode()
    lines = [
        f"{hashlib.sha256(contents[name]).hexdigest()}  ./{name}\n"
        for name in sorted(contents, key=str.encode)
    ]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def difference(name: str, before: str, after: str) -> str:
    """A patch of one file, as git diff writes it."""
    old, new = (text.splitlines(keepends=True) for text in (before, after))
    return "".join(difflib.unified_diff(old, new, f"a/{name}", f"b/{name}"))


def write_variant(root: Path, name: str, *components: str) -> None:
    """Add a variant without Debian packages of its own."""
    folder = root / "images" / name
    folder.mkdir()
    rows = [f'purpose: "{name}"', f"components: {json.dumps(components)}", 'platforms: ["amd64"]']
    (folder / "variant.yaml").write_text("\n".join([*rows, ""]))
    expected = (root / "images/slim/expect.yaml").read_text()
    (folder / "expect.yaml").write_text(expected.replace('amd64: "124"', 'amd64: "160"'))
    promises, known = root / "tests/image/test_promises.py", '"full": BUILD_LEFTOVERS'
    text = promises.read_text()
    assert known in text
    promises.write_text(text.replace(known, f'{known}, "{name}": BUILD_LEFTOVERS'))


def replace_module(root: Path, module: str, fork: str, version: str) -> None:
    """Replace runc's module in versions.yaml with a fork."""
    path = root / "versions.yaml"
    pin = '      version: "v1.5.2"\n'
    assert path.read_text().count(pin) == 1, module
    replaced = f'      replace:\n        module: "{fork}"\n        version: "{version}"\n'
    path.write_text(path.read_text().replace(pin, pin + replaced))


@contextlib.contextmanager
def kept(*paths: Path) -> Iterator[None]:
    """Give files their texts again after the context."""
    before = {path: path.read_text() for path in paths}
    yield
    for path, text in before.items():
        path.write_text(text)
