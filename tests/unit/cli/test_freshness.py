"""The command `lock --check --security`, with signed archives on a loopback address."""

import json
from datetime import date

import pytest

from tests.support.debian_archives import Debian
from worker_images.build import freshness
from worker_images.build.freshness import Freshness, Outdated
from worker_images.cli import freshness as command
from worker_images.errors import DocumentError, PolicyError
from worker_images.files import ROOT
from worker_images.model.document import read
from worker_images.model.lock import Lock
from worker_images.model.schema import validate

CHECK = ["--check", "--security"]
FAIL = [*CHECK, "--fail-on", "security"]
NEWER = "tini=1:99~deb13u2"
ENTRY = """\
exceptions:
  - id: "tini=1:99~deb13u2"
    reason: "the fault is in a mode that no image uses"
    owner: "security@example.com"
    expires: "2999-12-31"
"""


def locked_version(name: str) -> str:
    """Return the version of a package of the base in the committed lock."""
    base = Lock.read(ROOT / "versions.lock").packages["amd64"].of("base")
    return next(package.version for package in base if package.name == name)


def test_newest_version_is_listed_for_each_archive_with_its_images(debian: Debian) -> None:
    found = json.loads(debian.lock(*CHECK, "--json"))
    (row,) = found["security"]
    assert row == {
        "package": "tini",
        "locked": locked_version("tini"),
        "newer": "1:99~deb13u2",
        "architectures": ["amd64", "arm64"],
        "variants": ["full", "slim"],
        "owners": ["base"],
        "exception": None,
    }
    assert [each["package"] for each in found["main"]] == ["ca-certificates"]
    assert found["packages"] > 50


def test_text_names_package_versions_and_images(debian: Debian) -> None:
    lines = debian.lock(*CHECK).splitlines()
    assert lines[1:3] == [
        "newer in the security archive: 1",
        f"  tini  {locked_version('tini')} -> 1:99~deb13u2  (base; full, slim on amd64, arm64)",
    ]
    assert lines[-1] == "next: make lock, then make accept"


def test_security_update_without_an_exception_is_refused(debian: Debian) -> None:
    with pytest.raises(PolicyError) as caught:
        debian.lock(*FAIL)
    assert f"not in security-exceptions.yaml: {NEWER};" in str(caught.value)
    assert "-> 1:99~deb13u2" in caught.value.output
    assert caught.value.exit_code == 7


def test_update_in_the_main_archive_alone_is_not_refused(debian: Debian) -> None:
    debian.use("older")
    lines = debian.lock(*FAIL).splitlines()
    assert lines[1:3] == ["newer in the security archive: none", "newer in the main archive: 1"]


def test_exception_allows_one_version_of_one_package(debian: Debian) -> None:
    debian.except_for(ENTRY)
    assert (
        "    exception until 2999-12-31 by security@example.com: the fault is in a mode that no"
        " image uses"
    ) in debian.lock(*FAIL).splitlines()
    (row,) = json.loads(debian.lock(*FAIL, "--json"))["security"]
    assert row["exception"]["owner"] == "security@example.com"


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("2999-12-31", "2026-11-01", "2:5: exceptions[0]: tini=1:99~deb13u2; expired on 2026-11"),
        ("deb13u2", "deb13u1", "2:5: exceptions[0]: tini=1:99~deb13u1; not needed"),
        ("tini=", "unknown=", "2:5: exceptions[0]: unknown=1:99~deb13u2; not needed"),
        ('owner: "security@example.com"\n    ', "", "2:5: exceptions[0].owner: missing"),
        ('"tini=1:99~deb13u2"', '"tini"', "2:5: exceptions[0].id: 'tini' is not allowed"),
        ("exceptions:\n", "exceptions:\n" + ENTRY.partition("\n")[2], "6:5: exceptions[1]: "),
    ],
)
def test_invalid_exception_is_an_error_with_its_line(
    old: str, new: str, fault: str, debian: Debian
) -> None:
    assert old in ENTRY
    debian.except_for(ENTRY.replace(old, new, 1))
    with pytest.raises(DocumentError) as caught:
        debian.lock(*CHECK)
    assert f"security-exceptions.yaml:{fault}" in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["--security"], "--security: add --check"),
        (["--check", "--json"], "--json: add --security"),
        (["--check", "--fail-on", "security"], "--fail-on: add --security"),
        (["--check", "--security", "--fail-on", "main"], "invalid choice: 'main'"),
    ],
)
def test_option_without_the_one_that_it_needs_is_exit_2(
    arguments: list[str], fault: str, debian: Debian, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        debian.lock(*arguments)
    assert caught.value.code == 2
    assert fault in capsys.readouterr().err


def test_committed_exceptions_are_valid() -> None:
    document = read(ROOT / freshness.EXCEPTIONS)
    known = {entry.id for entry in validate(document, freshness.File).exceptions}
    assert freshness.read_exceptions(ROOT / freshness.EXCEPTIONS, known, date.min).keys() == known


def test_page_shows_the_current_output() -> None:
    """The archives change every day, so the versions in the page are its own."""
    page = (ROOT / "docs/updating.md").read_text()
    newer, everywhere = "1.5.7+dfsg-1+deb13u1", (("amd64", "arm64"), ("full", "slim"), ("base",))
    row = Outdated("libzstd1", "1.5.7+dfsg-1", newer, *everywhere)
    found = Freshness(security=(row,), main=(), packages=131, exceptions={})
    assert f"{command.text(found)}\nbuild.py: {command.refusal(found)}\n```\n" in page


def test_exception_in_the_page_is_valid(debian: Debian) -> None:
    page = (ROOT / "docs/updating.md").read_text()
    example = page.partition("```yaml\nexceptions:")[2].partition("```")[0]
    debian.except_for(f"exceptions:{example}")
    with pytest.raises(DocumentError, match=r"libzstd1=1\.5\.7\+dfsg-1\+deb13u1; not needed"):
        debian.lock(*CHECK)
