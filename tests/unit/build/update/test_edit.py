"""Edits of versions.yaml change the given values and no other byte."""

import pytest

from worker_images.build.update import edit
from worker_images.build.update.values import Change
from worker_images.errors import DriftError, UsageError
from worker_images.files import ROOT
from worker_images.model.document import parse
from worker_images.model.pins import Pins, load

GOLDEN = ROOT / "tests/unit/golden/versions.yaml"
TEXT = GOLDEN.read_bytes()


def test_edit_keeps_a_comment_with_the_old_value() -> None:
    data = TEXT.replace(
        b'    version: "1.5.2"\n',
        b'    version: "1.5.2"  # not \'1.5.2\' of the fork, nor "1.5.2"\n',
        1,
    )
    assert data != TEXT
    result = edit.edited(
        data, "versions.yaml", [Change(("components", "runc", "version"), "1.5.2", "1.5.3")]
    )
    assert b'    version: "1.5.3"  # not \'1.5.2\' of the fork, nor "1.5.2"\n' in result
    assert len(result) == len(data)


CHANGES = (
    Change(("go", "toolchain"), "1.26.11", "1.26.12"),
    Change(("components", "runc", "version"), "1.5.2", "1.5.3"),
    Change(("components", "runc", "packages", "version"), "v1.5.2", "v1.5.3"),
)


def test_edit_changes_only_the_given_values() -> None:
    result = edit.edited(TEXT, "versions.yaml", CHANGES)
    before, after = TEXT.split(b"\n"), result.split(b"\n")
    rows = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert rows == [
        (b'  toolchain: "1.26.11"', b'  toolchain: "1.26.12"'),
        (b'    version: "1.5.2"', b'    version: "1.5.3"'),
        (b'      version: "v1.5.2"', b'      version: "v1.5.3"'),
    ]
    assert (
        edit.edited(
            result, "versions.yaml", [Change(each.location, each.new, each.old) for each in CHANGES]
        )
        == TEXT
    )


LINES = (
    '  toolchain: "1.26.11"   # "1.26.11" stays',
    "  toolchain: '1.26.11'",
    '  toolchain:    "1.26.11"  ',
    '  toolchain: "1.26.11" # \u2192 next',
    '  "toolchain": "1.26.11"',
)


@pytest.mark.parametrize("line", LINES)
def test_edit_keeps_quotes_comments_and_spaces(line: str) -> None:
    text = f'a: "1.26.11"\ngo:\n{line}\nb: "1.26.11"\n'
    result = edit.edited(text.encode(), "f", CHANGES[:1]).decode()
    assert result == text.replace(line, line.replace("1.26.11", "1.26.12", 1))


def test_edit_changes_the_value_of_its_own_key() -> None:
    text = b'go: {first: "1.26.11", toolchain: "1.26.11"}\n'
    assert edit.edited(text, "f", CHANGES[:1]) == b'go: {first: "1.26.11", toolchain: "1.26.12"}\n'


def test_edit_is_refused_when_the_old_value_differs() -> None:
    with pytest.raises(
        DriftError, match=r"go\.toolchain is no longer '1\.26\.11'; the file was edited meanwhile"
    ):
        edit.edited(TEXT.replace(b'"1.26.11"', b'"1.26.10"'), "versions.yaml", CHANGES)


def test_edit_is_refused_when_a_value_is_on_another_line() -> None:
    text = b'go:\n  toolchain:\n    "1.26.11"\n'
    with pytest.raises(DriftError, match="write each value on the line of its key"):
        edit.edited(text, "f", CHANGES[:1])


def test_edited_file_loads() -> None:
    before = load(GOLDEN)[0]
    result = edit.edited(TEXT, "versions.yaml", CHANGES)
    loaded = Pins.model_validate(parse(result, "versions.yaml").value)
    assert loaded.go.toolchain == "1.26.12"
    assert loaded.model_copy(update={"go": before.go, "components": before.components}) == before


def test_pin_that_a_project_takes_from_its_checkout_is_not_edited() -> None:
    change = Change(("components", "gvisor", "version"), "20260622.0", "20260817.0")
    with pytest.raises(UsageError, match=r"no components\.gvisor, which the checkout pins; take"):
        edit.edited(b'source: "packages"\n', "versions.yaml", [change])
