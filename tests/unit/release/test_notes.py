"""Release notes show what was released, how it was tested, and what changed."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.releases import NEW, OLD, PACKAGES, SLIM
from worker_images.release.notes import notes
from worker_images.release.record import Layer, Released

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize(("since", "name"), [(None, "notes.md"), (OLD, "notes-since.md")])
def test_notes_are_the_reviewed_ones(since: Released | None, name: str) -> None:
    """A change of the notes is reviewed as a change of these files."""
    assert notes(NEW, since) == (GOLDEN / name).read_text()


def test_equal_records_give_equal_notes() -> None:
    again = replace(NEW, indexes=dict(sorted(NEW.indexes.items())))
    assert notes(again, OLD) == notes(NEW, OLD)


@pytest.mark.parametrize(
    "line",
    [
        "  - gained: 570.86.15",
        "  - **lost: 530.30.02**",
        "| base-files | 13.8+deb13u7 | 13.8+deb13u8 |  |",
        "| libkrb5-3 | 1.21.3-5 | 1.21.3-5+deb13u2 | **security** |",
        "| mawk | 1.3.4-1 | - |  |",
        "4 changed, 1 of them for security",
        "| gvisor | **20260622.0-46-g879cb2dc2** | 20260518.0 |",
        "| criu | **4.1.1** | - |",
        "- New image: full amd64.",
        "- **No longer released: slim arm64.**",
    ],
)
def test_change_since_the_earlier_release_is_shown(line: str) -> None:
    assert line in notes(NEW, OLD).splitlines()
    assert line not in notes(NEW).splitlines()
    assert line not in notes(NEW, replace(NEW, version="0")).splitlines()


def test_release_without_changes_shows_none() -> None:
    text = notes(NEW, replace(NEW, version="2026.11.1"))
    assert "0 changed, 0 of them for security" in text
    assert "- gained: none" in text
    assert "- lost: none" in text
    assert "| base | trixie | trixie |" in text
    assert "**" not in text.replace("**not run**", "").replace("**passed in part**", "")


def test_packages_of_a_new_architecture_are_not_changes() -> None:
    arm64 = replace(NEW, platforms=(replace(SLIM, architecture="arm64"),))
    assert "changed" not in notes(arm64, NEW)


def test_layer_that_did_not_run_is_not_passed() -> None:
    lines = notes(NEW).splitlines()
    assert "| pod | slim amd64 | **not run** | 0 | 0 | 0 | no tests/pod exists |" in lines
    why = "no NVIDIA driver \\| on &lt;this> machine (25); no torch (1)"
    assert f"| workload | slim amd64 | **passed in part** | 12 | 0 | 26 | {why} |" in lines


def test_layer_of_checks_that_did_not_run_is_not_passed() -> None:
    skipped = replace(SLIM, tests=(Layer("workload", 0, 0, {"no GPU": 3}),))
    text = notes(replace(NEW, platforms=(skipped,)))
    assert "| workload | slim amd64 | **not run** | 0 | 0 | 3 | no GPU (3) |" in text.splitlines()


def test_layer_is_passed_only_if_every_check_ran() -> None:
    complete = replace(SLIM, tests=(Layer("workload", 38, 0, {}),))
    text = notes(replace(NEW, platforms=(complete,)))
    assert "| workload | slim amd64 | passed | 38 | 0 | 0 | - |" in text.splitlines()


def test_failed_layer_is_failed() -> None:
    failing = replace(SLIM, tests=(Layer("image", 79, 1, {}),))
    text = notes(replace(NEW, platforms=(failing,)))
    assert "| image | slim amd64 | **failed** | 79 | 1 | 0 | - |" in text.splitlines()


@pytest.mark.parametrize("text", ["a | b", "a\n# b", "<script>", "`x`", "\x1b[31m", "\u202e"])
def test_text_of_a_record_cannot_change_the_form_of_the_notes(text: str) -> None:
    layer = Layer("workload", 1, 0, {text: 1})
    changed = replace(SLIM, tests=(layer,), packages=(replace(PACKAGES[0], version=text),))
    plain = replace(SLIM, tests=(replace(layer, not_run={"a": 1}),), packages=PACKAGES[:1])
    hostile = notes(replace(NEW, platforms=(changed,)))
    sound = notes(replace(NEW, platforms=(plain,)))
    assert hostile.count("\n") == sound.count("\n")
    assert hostile.replace("\\|", "").count("|") == sound.count("|")
    assert hostile.count("`") == sound.count("`")
    assert not {"<script", "\x1b", "\u202e"} & {*hostile.split()}
    assert "\u202e" not in hostile
