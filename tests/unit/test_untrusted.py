"""JSON from outside has one meaning, and text from outside cannot control a terminal."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.hostile import TEXTS, VALUES, bounded
from tests.support.timing import LINEAR, growth
from worker_images.untrusted import (
    UntrustedError,
    check_spelling,
    listed,
    parse_json,
    printable,
    read_json,
    shown,
)


def refusal(data: bytes) -> str:
    """Why JSON is refused; empty if it is read."""
    try:
        parse_json(data)
    except UntrustedError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"a": 1, "a": 1}', "duplicate key a"),
        (b'{"a": {"\\u001b": 1, "\\u001b": 2}}', r"duplicate key \\u001b"),
        (b'{"layers": [], "Layers": []}', "keys layers and Layers differ only in case"),
        (b'[{"s": 1, "\xc5\xbf": 2}]', "differ only in case"),
        (b'{"a": NaN}', "NaN is not a number"),
        (b"[-Infinity]", "-Infinity is not a number"),
        (b"1e999", "1e999 is too large"),
        (b"1" * 5000, "a number of 5000 digits"),
        (b'"\\ud800"', "an unpaired surrogate"),
        (b'{"\\udfff": 1}', "an unpaired surrogate"),
        (b'"\xff"', "not UTF-8: byte 1"),
        (b"\xef\xbb\xbf{}", "not JSON: Unexpected UTF-8 BOM"),
        (b"[" * 65 + b"]" * 65, "nested deeper than 64 levels"),
        (b"[" * 100_000, "nested deeper than 64 levels"),
        (b'{"a":' * 100_000, "nested deeper than 64 levels"),
        (b"{} {}", "not JSON: Extra data"),
        (b"", "not JSON"),
        (b"9" * 101, "more than 100 bytes"),
    ],
)
def test_json_that_readers_read_differently_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(UntrustedError, match=message) as caught:
        parse_json(data, 100 if data == b"9" * 101 else 1 << 20)
    assert len(str(caught.value)) < 200


def test_json_of_the_deepest_level_is_read() -> None:
    assert parse_json(b"[" * 64 + b"]" * 64)


def test_names_that_users_choose_may_differ_in_case() -> None:
    assert parse_json(b'{"Labels": {"a": 1, "A": 2}}') == {"Labels": {"a": 1, "A": 2}}
    with pytest.raises(UntrustedError, match="differ only in case"):
        parse_json(b'{"Labels": {"x": {"a": 1, "A": 2}}}')


def test_known_key_of_another_case_is_refused() -> None:
    check_spelling({"layers": 1, "other": 2}, frozenset({"layers"}))
    with pytest.raises(UntrustedError, match="key Layers must be spelled layers"):
        check_spelling({"Layers": 1}, frozenset({"layers"}))


def test_file_is_read_only_up_to_its_limit(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"a": 1}')
    assert read_json(tmp_path / "a.json") == {"a": 1}
    with pytest.raises(UntrustedError, match="more than 1000 bytes"):
        read_json(Path("/dev/zero"), 1000)


def test_object_with_many_keys_takes_linear_time() -> None:
    def parse(count: int) -> None:
        keys = ",".join(f'"{number}":1' for number in range(count))
        with pytest.raises(UntrustedError):
            parse_json(f'{{{keys},"{count - 1}":1}}'.encode())

    assert growth(parse, 2_000, LINEAR) < LINEAR


@bounded
@given(VALUES)
def test_json_that_python_wrote_is_read_unchanged_or_refused(value: object) -> None:
    data = json.dumps(value).encode()
    if refused := refusal(data):
        assert "differ only in case" in refused or "unpaired surrogate" in refused
    else:
        assert parse_json(data) == value


@bounded
@given(st.binary() | st.text('{}[]":,\\ud8019e-. aA').map(str.encode))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    refused = refusal(data)
    assert printable(refused) == refused


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\tb\nc é 世 ✓ »", "a\tb\nc é 世 ✓ »"),
        ("\x1b[2J\x1b]0;title\x07", r"\u001b[2J\u001b]0;title\u0007"),
        ("\x9b2J", r"\u009b2J"),
        ("password\b\b\r", r"password\u0008\u0008\u000d"),
        ("a\u202eb\u2066c\u200b", r"a\u202eb\u2066c\u200b"),
        ("\ud800 \x7f \U000e0001", r"\ud800 \u007f \udb40\udc01"),
    ],
)
def test_control_characters_are_escaped(text: str, expected: str) -> None:
    assert printable(text) == expected


@bounded
@given(TEXTS, VALUES)
def test_printable_text_controls_nothing_and_keeps_json_equal(text: str, value: object) -> None:
    assert printable(text).replace("\n", "").replace("\t", "").isprintable()
    assert json.loads(printable(json.dumps(value, ensure_ascii=False))) == value


def test_listed_texts_are_the_first_lines_and_a_count() -> None:
    assert listed(["a\nb", "c\x1b"]) == "a b\nc\\u001b"
    assert listed(map(str, range(5)), most=2) == "0\n1\nand 3 more"


def test_shown_text_is_one_short_line() -> None:
    assert shown("a\nb\x1b") == r"a b\u001b"
    assert shown("a" * 80) == "a" * 80
    assert shown("a" * 10**6) == "a" * 77 + "..."
