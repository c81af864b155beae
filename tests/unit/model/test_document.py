"""Strict YAML: what is refused, with which line and column, and how fast."""

import time
from pathlib import Path

import pytest

from worker_images.errors import DocumentError
from worker_images.model import document

REFUSED = {
    "alias": ('a: &x "1"\nb: *x\n', "2:4", "an alias"),
    "anchor": ('a: &x "1"\n', "1:4", "an anchor"),
    "tag": ('a: !!str "1"\n', "1:4", "a tag"),
    "python tag": ('a: !!python/object/apply:os.system ["id"]\n', "1:4", "a tag"),
    "merge key": ('a: {"b": "1"}\nc:\n  <<: {"b": "2"}\n', "3:3", "a merge key"),
    "second document": ('a: "1"\n---\nb: "2"\n', "2:1", "a second document"),
    "deep": ("a: " + "[" * 17 + "]" * 17 + "\n", "1:19", "nested deeper than 16"),
    "60,000 brackets": ("a: " + "[" * 60_000, "1:19", "nested deeper than 16"),
    "control character": ('a: "1\x07"\n', "1:6", "character U+0007"),
    "escape": ('a: "\x1b[2J"\n', "1:5", "character U+001B"),
    "carriage return": ('a: "1"\rb: "2"\n', "1:7", "character U+000D"),
    "Windows line ends": ('# 1\na: "1"\r\nb: "2"\r\n', "2:1", "Windows line ends"),
    "tab": ('a:\t"1"\n', "1:3", "character U+0009"),
    "bidirectional override": ('a: "1\u202e2"\n', "1:6", "character U+202E"),
    "zero width": ('a: "1\u200b"\n', "1:6", "character U+200B"),
    "next line": ('a: "1\u0085"\n', "1:6", "character U+0085"),
    "line separator": ('a: "1\u2028"\n', "1:6", "character U+2028"),
    "byte order mark": ('\ufeffa: "1"\n', "1:1", "character U+FEFF"),
    "empty": ("", "1:1", "not a mapping"),
    "list": ('- "1"\n', "1:1", "not a mapping"),
    "text": ("hello\n", "1:1", "not a mapping"),
    "broken": ('a: "1\n', "2:1", "not valid YAML"),
    "bad indentation": ('a: "1"\n b: "2"\n', "2:2", "not valid YAML"),
}
KEPT = {
    "float": ("a: 12.10\n", "1:4", "'12.10' is not quoted"),
    "date": ("a: 2026-09-14\n", "1:4", "'2026-09-14' is not quoted"),
    "boolean": ("a: no\n", "1:4", "'no' is not quoted"),
    "null": ("a:\n", "1:3", "'' is not quoted"),
    "sexagesimal": ("a: 20:30\n", "1:4", "'20:30' is not quoted"),
    "exponent": ("a: 1234e5678\n", "1:4", "'1234e5678' is not quoted"),
    "plain text": ("a: hello\n", "1:4", "'hello' is not quoted"),
    "block text": ("a: |\n  hello\n", "1:4", "is not quoted"),
    "in a list": ('a: ["1", 2]\n', "1:10", "'2' is not quoted"),
    "duplicate": ('a: "1"\na: "2"\n', "2:1", "written twice"),
    "duplicate below": ('b:\n  a: "1"\n  a: "2"\n', "3:3", "written twice"),
    "list as key": ('? ["a"]\n: "1"\n', "1:3", "a key that is not text"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_invalid_text_is_refused_with_its_position(name: str) -> None:
    text, place, what = REFUSED[name]
    begun = time.monotonic()
    with pytest.raises(DocumentError) as caught:
        document.parse(text.encode(), "f.yaml")
    assert time.monotonic() - begun < 0.5
    (message,) = [line for line in str(caught.value).splitlines() if what in line]
    assert message.startswith(f"f.yaml:{place}: ")
    assert message.count("; ") >= 2


@pytest.mark.parametrize("name", KEPT)
def test_invalid_value_is_found_with_its_position(name: str) -> None:
    text, place, what = KEPT[name]
    (finding,) = document.parse(text.encode(), "f.yaml").findings
    assert str(finding).startswith(f"f.yaml:{place}: ")
    assert what in str(finding)


def test_all_faults_are_found_at_once() -> None:
    found = document.parse(b"a: 1\nb: 2\nc: 3\n", "f").findings
    assert [finding.line for finding in found] == [1, 2, 3]


def test_text_that_is_not_utf8_is_refused_with_its_line() -> None:
    with pytest.raises(DocumentError, match=r"^f:2:1: .*not UTF-8"):
        document.parse(b'a: "1"\nb: "\xff"\n', "f")


def test_too_large_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_bytes(b"#" * (document.MAX_BYTES + 1))
    with pytest.raises(DocumentError, match="over 256 KiB"):
        document.read(path)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="cannot be read; No such file"):
        document.read(tmp_path / "none.yaml")


def test_plain_data_is_read() -> None:
    found = document.parse(b'# comment: \xe2\x80\xa6\na: "1"\nb: ["x", \'y\']\n', "f")
    assert (found.value, found.findings) == ({"a": "1", "b": ["x", "y"]}, ())
    assert found.marks["b", 1] == document.Mark(3, 10)


def test_quoted_value_cannot_control_a_terminal() -> None:
    assert (
        document.quoted("\x1b[31m\u202e" + "x" * 99)
        == ascii("\x1b[31m\u202e" + "x" * 99)[:57] + "..."
    )
