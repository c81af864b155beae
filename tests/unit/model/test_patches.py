"""Patches of components: they change text files of a Go module, and nothing else."""

from pathlib import Path

import pytest

from worker_images.errors import DocumentError
from worker_images.files import text_digest
from worker_images.model import patches, project

GOOD = "--- a/x/y.go\n+++ b/x/y.go\n@@ -1 +1 @@\n-one\n+two\n"
# A removed line and an added line of a file that look like the names of files.
LINES = "--- a/y\n+++ b/y\n@@ -1,2 +1,2 @@\n kept\n--- /etc/passwd\n+++ ../x\n"
CREATED = "--- /dev/null\n+++ b/new.go\n@@ -0,0 +1 @@\n+new\n"
OUTSIDE = "is not a file of the module; the first folder is left out"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of gVisor's patches."""
    found = tmp_path / "images" / patches.folder("gvisor")
    found.mkdir(parents=True)
    return found


def test_patches_are_read_in_the_order_of_their_names(folder: Path, tmp_path: Path) -> None:
    (folder / "0002-b.patch").write_text(LINES)
    (folder / "0001-a.patch").write_bytes(GOOD.replace("\n", "\r\n").encode())
    (folder / "0003-c.patch").write_text(CREATED)
    found = patches.read(tmp_path, "gvisor")
    names = ["0001-a.patch", "0002-b.patch", "0003-c.patch"]
    assert [each.locked.name for each in found] == names
    assert found[0].text.count("\r\n") == 5
    assert found[1].locked.sha256 == text_digest(LINES)
    assert found[0].place == "components/gvisor/patches/0001-a.patch"
    assert patches.read(tmp_path, "runc") == ()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a b.patch", GOOD, ":1:1: 'a b.patch': not a name of a patch"),
        ("README.md", GOOD, ":1:1: 'README.md': not a name of a patch"),
        ("a.patch", GOOD.replace("b/x", "b/../x"), f":2:1: 'a.patch': 'b/../x/y.go' {OUTSIDE}"),
        ("a.patch", GOOD.replace("a/x", "/x"), f":1:1: 'a.patch': '/x/y.go' {OUTSIDE}"),
        ("a.patch", GOOD.replace("b/x/y.go", "y.go"), f":2:1: 'a.patch': 'y.go' {OUTSIDE}"),
        ("a.patch", f"rename to ../y\n{GOOD}", f":1:1: 'a.patch': '../y' {OUTSIDE}"),
        ("a.patch", GOOD + GOOD.replace("b/x", "b/.."), f":7:1: 'a.patch': 'b/../y.go' {OUTSIDE}"),
        ("a.patch", f"new file mode 120000\n{GOOD}", ":1:1: 'a.patch': 'new file mode 120000'"),
        ("a.patch", f"GIT binary patch\n{GOOD}", "publish a fork instead: docs/forks.md"),
        (
            "a.patch",
            GOOD.replace("b/x/y.go", "b/go.mod"),
            ":2:1: 'a.patch': 'b/go.mod' lists modules",
        ),
        ("a.patch", "some text\n", "not a unified diff; make it with git diff"),
    ],
)
def test_wrong_patch_is_refused_with_its_line(
    name: str, text: str, message: str, folder: Path, tmp_path: Path
) -> None:
    (folder / name).write_text(text)
    with pytest.raises(DocumentError) as refused:
        patches.read(tmp_path, "gvisor")
    assert f"images/components/gvisor/patches/{name}" in str(refused.value)
    assert message in str(refused.value)


def test_patch_that_is_not_text_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "a.patch").write_bytes(GOOD.encode() + b"\xff\n")
    with pytest.raises(DocumentError, match="not UTF-8"):
        patches.read(tmp_path, "gvisor")


def test_component_that_is_not_compiled_here_has_no_patches_and_no_fork(checkout: Path) -> None:
    folder = checkout / "images" / patches.folder("criu")
    folder.mkdir()
    (folder / "a.patch").write_text(GOOD)
    versions = checkout / "versions.yaml"
    fork = '      replace:\n        module: "example.com/fork"\n        version: "v1.0.0"\n'
    pin = '      version: "12.8.57"\n'
    versions.write_text(versions.read_text().replace(pin, pin + fork))
    with pytest.raises(DocumentError) as refused:
        project.load(checkout)
    lines = str(refused.value).splitlines()
    assert [line.partition(": ")[2].partition("; ")[0] for line in lines] == [
        "criu: not used",
        "components.cuda-runtime.packages.replace: not used",
    ]
