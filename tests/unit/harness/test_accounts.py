"""Accounts that a derived image must not have."""

from pathlib import Path

import pytest

from tests.support.derivations import ACCOUNTS, SHADOW, faults
from tests.support.members import file


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("app:x:1001:1001::/:/bin/sh", ""),
        ("", ""),
        ("toor:*:0:0::/:/bin/sh", "'toor' has the user ID '0', want 1 to 999999999"),
        ("toor:*:00:0::/:/bin/sh", "'toor' has the user ID '00', want 1 to 999999999"),
        (
            "toor:*:4294967296:0::/:/bin/sh",
            "'toor' has the user ID '4294967296', want 1 to 999999999",
        ),
        ("toor:*:-1:0::/:/bin/sh", "'toor' has the user ID '-1', want 1 to 999999999"),
        ("app::1001:1001::/:/bin/sh", "'app' has an empty password"),
        ("app:x:1001", "not a valid line: 'app:x:1001'"),
        ("app:ab01FAX.bQRSU:1001:1001::/:/bin/sh", "'app' has a password hash, which reveals"),
    ],
)
def test_account_with_rights_of_root_is_found(line: str, fault: str, tmp_path: Path) -> None:
    found = faults("account", tmp_path, [file("etc/passwd", f"{ACCOUNTS}{line}\n")])
    expected = f"/etc/passwd: {fault}"
    assert [each[: len(expected)] for each in found] == ([expected] if fault else [])


@pytest.mark.parametrize(
    ("password", "count"),
    [
        ("$y$j9T$salt$hash", 1),
        ("!$6$salt$hash", 1),
        ("$5$own$hash", 0),
        ("!", 0),
        ("!!", 0),
        ("!*", 0),
        ("*LK*", 0),
    ],
)
def test_password_hash_that_the_worker_image_does_not_have_is_found(
    password: str, count: int, tmp_path: Path
) -> None:
    line = f"app:{password}:20000:0:99999:7:::\n"
    found = faults("account", tmp_path, [file("etc/shadow", SHADOW + line)])
    what = "/etc/shadow: 'app' has a password hash, which reveals a weak password"
    assert found == [what] * count
