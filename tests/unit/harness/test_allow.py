"""The allow file of a derived image."""

from datetime import date
from pathlib import Path

import pytest

from tests.support import commands
from worker_images.errors import DocumentError
from worker_images.files import ROOT
from worker_images.harness import allow
from worker_images.harness.derived import Fault

TODAY = date(2026, 11, 26)
ENTRY = """\
  - path: "/opt/*"
    rule: "setuid"
    reason: "mounts of users"
    expires: "2026-11-26"
"""


def read(folder: Path, text: str = ENTRY) -> allow.Allowed:
    path = folder / "allow.yaml"
    path.write_text(f"allow:\n{text}")
    return allow.load(path, TODAY)


def test_entry_allows_its_paths_and_rule_until_its_day(tmp_path: Path) -> None:
    faults = [Fault("setuid", path, "mode 4755") for path in ("/opt/a", "/opt/b/c", "/usr/a")]
    faults.append(Fault("device", "/opt/a", "a device"))
    found = read(tmp_path)
    assert found.refused(faults) == faults[2:]
    assert [each["paths"] for each in found.as_data()] == [["/opt/a", "/opt/b/c"]]
    assert [*found.lines()] == [
        "allowed: /opt/a and 1 more (setuid), until 2026-11-26: mounts of users"
    ]


def test_expired_and_unneeded_entries_are_named(tmp_path: Path) -> None:
    found = read(tmp_path, ENTRY + ENTRY.replace("11-26", "11-25"))
    assert found.refused([Fault("setuid", "/usr/a", "")])
    assert [*found.lines()] == [
        "not needed: /opt/* (setuid), until 2026-11-26: mounts of users",
        "expired on 2026-11-25: /opt/* (setuid): mounts of users",
    ]
    assert found.as_data() == []


def test_exact_path_with_characters_of_patterns_is_allowed(tmp_path: Path) -> None:
    found = read(tmp_path, ENTRY.replace("/opt/*", "/opt/[x]"))
    assert found.refused([Fault("setuid", "/opt/[x]", "")]) == []


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('"setuid"', '"setuids"', "allow.yaml:3:5: allow[0].rule: 'setuids' is not allowed"),
        ("2026-11-26", "2026-02-30", "allow.yaml:5:5: allow[0].expires: '2026-02-30'"),
        ("2026-11-26", "soon", "allow.yaml:5:5: allow[0].expires: 'soon' is not allowed"),
        ('    reason: "mounts of users"\n', "", "allow.yaml:2:5: allow[0].reason: missing"),
        ("reason", "why", "allow.yaml:4:5: allow[0].why: unknown key"),
        ('"/opt/*"', "/opt/*", "allow.yaml:2:11: allow[0].path: '/opt/*' is not quoted"),
    ],
)
def test_fault_of_an_allow_file_has_its_place(
    old: str, new: str, fault: str, tmp_path: Path
) -> None:
    assert old in ENTRY
    with pytest.raises(DocumentError) as raised:
        read(tmp_path, ENTRY.replace(old, new))
    assert fault in str(raised.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "--allow is for derived images; add --mode derived"),
        (("--mode", "derived"), "allow.yaml:3:5: allow[0].rule: 'x' is not allowed"),
    ],
)
def test_allow_file_that_cannot_be_used_ends_the_run(
    options: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    (tmp_path / "allow.yaml").write_text("allow:\n" + ENTRY.replace('"setuid"', '"x"'))
    command = [*commands.PYTEST, "tests/image/test_derived.py", "--variant", "slim", *options]
    result = commands.run([*command, "--allow", tmp_path / "allow.yaml"], cwd=ROOT)
    assert result.returncode == pytest.ExitCode.USAGE_ERROR
    assert message in result.stdout + result.stderr
