"""versions.yaml: wrong edits are refused with their position and a fix, all at once."""

import re
from pathlib import Path

import pytest

from worker_images.errors import DocumentError
from worker_images.files import ROOT
from worker_images.model import pins, project

TEXT = (ROOT / "versions.yaml").read_text()
SHA512 = re.search(r'sha512: "([0-9a-f]+)"', TEXT)[1]  # type: ignore[index]

# Name of the edit: old text, new text, pattern of the message.
WRONG = {
    "unknown top key": (
        'source: "packages"',
        'source: "packages"\nsorce: "upstream"',
        "sorce: unknown key; .*did you mean source",
    ),
    "unknown pin key": (
        '    version: "20260622',
        '    sha999: "1"\n    version: "20260622',
        "sha999: unknown key",
    ),
    "unknown mapping": (
        "fleet:\n",
        'flet:\n  a: "1"\nfleet:\n',
        "flet: unknown key; .*did you mean fleet",
    ),
    "missing key": ('  suite: "trixie"\n', "", "debian.suite: missing"),
    "missing section": (TEXT[TEXT.index("go:\n") : TEXT.index("components:\n")], "", "go: missing"),
    "unquoted version": (
        '"20260622.0"',
        "20260622.0",
        "components.gvisor.version: '20260622.0' is not quoted",
    ),
    "duplicate": (
        'source: "packages"',
        'source: "packages"\nsource: "upstream"',
        "source: written twice; the first one is in line",
    ),
    "wrong source": ('source: "packages"', 'source: "magic"', "source: 'magic'"),
    "list for text": ('suite: "trixie"', 'suite: ["trixie"]', "debian.suite: a list"),
    "mapping for text": ('suite: "trixie"', 'suite: {"a": "b"}', "debian.suite: a mapping"),
    "text for list": ('["535.129.03", "580.159.04"]', '"535.129.03"', "fleet.drivers: a string"),
    "empty fleet": ('["535.129.03", "580.159.04"]', "[]", "fleet.drivers"),
    "driver twice": ('"580.159.04"]', '"535.129.03"]', "fleet.drivers.*duplicate entry"),
    "driver is a word": (
        '"580.159.04"]',
        '"latest"]',
        r"fleet.drivers\[1\]: 'latest' is not allowed",
    ),
    "driver with newline": ('"580.159.04"]', '"580.159.04\\n"]', r"fleet.drivers\[1\]"),
    "full-width digits": ('"580.159.04"]', '"\uff1580.159.04"]', r"fleet.drivers\[1\]"),
    "short digest": (SHA512, SHA512[:-1], "upstream.sha512"),
    "long digest": (SHA512, SHA512 + "0", "upstream.sha512"),
    "upper-case digest": (SHA512, SHA512.upper(), "upstream.sha512"),
    "zero digest": (SHA512, "0" * 128, "upstream.sha512.*all-zero"),
    "digest of another kind": (f'sha512: "{SHA512}"', f'sha256: "{SHA512}"', "upstream.sha256"),
    "digest that the source does not use": (
        f'sha512: "{SHA512}"',
        f'digest: "sha256:{SHA512[:64]}"',
        "gvisor.upstream: no sha256 or sha512",
    ),
    "no digest": (
        f'      sha512: "{SHA512}"',
        '      sha256: ""',
        "upstream.*sha256",
    ),
    "newline in version": ('"20260622.0-46-g879cb2dc2"', '"20260622.0\\nRUN id"', "describe"),
    "trailing newline": ('"20260622.0-46-g879cb2dc2"', '"20260622.0\\n"', "describe"),
    "backslash": ('"20260622.0-46-g879cb2dc2"', "'20260622.0\\'", "describe"),
    "shell": ('"20260622.0-46-g879cb2dc2"', '"$(id)"', "describe"),
    "backtick": ('"20260622.0-46-g879cb2dc2"', '"`id`"', "describe"),
    "variable": ('"20260622.0-46-g879cb2dc2"', '"${PATH}"', "describe"),
    "template": ('"20260622.0-46-g879cb2dc2"', '"{{7*7}}"', "describe"),
    "template block": ('"20260622.0-46-g879cb2dc2"', '"{% if 1 %}"', "describe"),
    "heredoc": ('"20260622.0-46-g879cb2dc2"', '"<<EOF"', "describe"),
    "quote": ('"20260622.0-46-g879cb2dc2"', "'1\"2'", "describe"),
    "comment": ('"20260622.0-46-g879cb2dc2"', '"1 # x"', "describe"),
    "space": ('"20260622.0-46-g879cb2dc2"', '"1 2"', "describe"),
    "leading dashes": ('"20260622.0-46-g879cb2dc2"', '"--mount"', "describe"),
    "empty": ('"20260622.0-46-g879cb2dc2"', '""', "describe"),
    "NUL": ('"20260622.0-46-g879cb2dc2"', '"1\\0"', "describe"),
    "escape": ('"20260622.0-46-g879cb2dc2"', '"1\\e[2J"', "describe"),
    "module branch": ('"v0.0.0-20260701204157-69c2d17aea96"', '"latest"', "packages.version"),
    "mirror with user": (
        'http://deb.debian.org/debian"',
        'http://me:secret@deb.debian.org/debian"',
        "debian.mirror",
    ),
    "mirror of a file": ('http://deb.debian.org/debian"', 'file:///debian"', "debian.mirror"),
    "mirror with query": (
        'http://deb.debian.org/debian"',
        'http://deb.debian.org/debian?x=1"',
        "debian.mirror",
    ),
    "mirror path up": (
        'http://deb.debian.org/debian"',
        'http://deb.debian.org/../debian"',
        "debian.mirror",
    ),
    "image without tag": ('"debian:trixie-slim"', '"debian"', "debian.image"),
    "image latest": (
        '"debian:trixie-slim"',
        '"debian:latest"',
        "debian.image.*latest is not a fixed version",
    ),
    "image upper case": ('"debian:trixie-slim"', '"Debian:trixie"', "debian.image"),
    "image with digest": ('"debian:trixie-slim"', '"debian:trixie@sha256:00"', "debian.image"),
    "toolchain": ('"1.26.11"', '"go1.26.11"', "go.toolchain"),
    "compiler": ('"0.15.2"', '"0.15"', "zig.toolchain"),
    "file time": ('"1782950400"', '"now"', "file_time"),
    "negative file time": ('"1782950400"', '"-1"', "file_time"),
    "component name": ("  gvisor:\n", "  Gvisor!:\n", "components.Gvisor!"),
    "unused pin": (
        "components:\n",
        "components:\n  other:\n"
        + TEXT[TEXT.index('    version: "20260622.0"') : TEXT.index("  runc:")],
        "components.other: unused pin",
    ),
    "unpinned folder": (
        TEXT[TEXT.index("  gvisor:\n") : TEXT.index("  cuda-runtime:")],
        "",
        "components.gvisor: missing",
    ),
    "digest used twice": (
        "c880576d6cf75a48e5027a871bac70fd0421ab07d2b55f30877b21f1c87959c9",
        "599f6f94ff8c5057241eff0d54c3c74f95c34935b6457b33fe545defc61e9488",
        "digest used twice",
    ),
}


def refusal(text: str, folder: Path) -> list[str]:
    path = folder / "versions.yaml"
    path.write_text(text)
    with pytest.raises(DocumentError) as caught:
        project.load(ROOT, path)
    return str(caught.value).splitlines()


@pytest.mark.parametrize("name", WRONG)
def test_wrong_edit_is_refused(name: str, tmp_path: Path) -> None:
    old, new, message = WRONG[name]
    assert TEXT.count(old) >= 1
    lines = refusal(TEXT.replace(old, new, 1), tmp_path)
    assert any(re.search(message, line) for line in lines), lines
    for line in lines:
        assert re.match(
            r"(.*versions\.yaml|images/[a-z-/.]+):[1-9][0-9]*:[1-9][0-9]*: \S.*?: .+; .+; .+$", line
        ), line
        assert line.isascii()


def test_position_of_a_fault_is_exact(tmp_path: Path) -> None:
    (line,) = refusal(TEXT.replace('"1.26.11"', '"1.26"'), tmp_path)
    number = TEXT[: TEXT.index('"1.26.11"')].count("\n") + 1
    assert line.startswith(
        f"{tmp_path}/versions.yaml:{number}:3: go.toolchain: '1.26' is not allowed; must be a Go"
    )


def test_all_faults_are_reported_at_once_in_order(tmp_path: Path) -> None:
    text = (
        TEXT.replace('"1.26.11"', '"1.26"')
        .replace('suite: "trixie"', "suite: trixie")
        .replace('"580.159.04"]', '"x"]')
    )
    lines = refusal(text, tmp_path)
    assert [line.split(": ")[1] for line in lines] == [
        "debian.suite",
        "go.toolchain",
        "fleet.drivers[1]",
    ]


def test_committed_pins_are_valid() -> None:
    loaded = project.load(ROOT)
    assert loaded.pins.fleet.drivers == ("535.129.03", "580.159.04")
    assert set(loaded.catalog.components) == set(loaded.pins.components)


@pytest.mark.parametrize("version", ["20260817.0", "20260209.1", "1.2.3-rc.1+b2"])
def test_other_versions_are_valid(version: str, tmp_path: Path) -> None:
    path = tmp_path / "versions.yaml"
    path.write_text(TEXT.replace('"20260622.0"', f'"{version}"'))
    assert pins.load(path)[0].components["gvisor"].version == version


@pytest.mark.parametrize(
    "text",
    [TEXT + "".join(f'unknown{n}: "x"\n' for n in range(5000)), "a: 1\x01\n" * 30_000],
    ids=["unknown keys", "control characters"],
)
def test_at_most_a_hundred_faults_are_reported(text: str, tmp_path: Path) -> None:
    lines = refusal(text, tmp_path)
    assert 100 <= len(lines) <= 101


def test_endless_file_is_refused() -> None:
    with pytest.raises(DocumentError, match="over 256 KiB"):
        project.load(ROOT, Path("/dev/zero"))
