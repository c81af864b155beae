"""lint reads config.json with Go's types, as runsc does."""

import json
from pathlib import Path
from typing import Any

import pytest

from worker_images.files import ROOT
from worker_images.node.cli import main
from worker_images.node.lint import shape
from worker_images.node.lint.request import LaunchRequest
from worker_images.untrusted import UntrustedError

INT64 = 1 << 63
# Members with a value that Go does not read, and the refusal.
WRONG: tuple[tuple[str, object, str], ...] = (
    ("linux.resources.memory.limit", "64g", "not an integer"),
    ("linux.resources.memory.swappiness", -1, "not a number from 0"),
    ("linux.resources.memory.disableOOMKiller", 0, "not true or false"),
    ("linux.resources.cpu.quota", 1.5, "not an integer"),
    ("linux.resources.cpu.cpus", 4, "not a string"),
    ("linux.resources.pids.limit", INT64, f"not a number from {-INT64} to {INT64 - 1}"),
    ("linux.resources.unified", {"memory.max": 1}, "not a string"),
    ("linux.resources.blockIO.weight", 1 << 16, "not a number from 0 to 65535"),
    ("linux.resources.rdma", {"mlx5_0": {"hcaHandles": "2"}}, "not an integer"),
    ("linux.sysctl", {"net.core.somaxconn": 1024}, "not a string"),
    ("linux.seccomp.syscalls", [{"names": "ioctl"}], "not a list"),
    ("linux.maskedPaths", "/proc/kcore", "not a list"),
    ("process.rlimits", [{"type": "RLIMIT_NOFILE", "soft": "1024"}], "not an integer"),
    ("process.terminal", "false", "not true or false"),
    ("process.noNewPrivileges", "true", "not true or false"),
    ("process.oomScoreAdj", "100", "not an integer"),
    ("process.user.umask", "022", "not an integer"),
    ("process.user.uid", -1, "not a number from 0 to 4294967295"),
    ("process.user.gid", 1 << 32, "not a number from 0 to 4294967295"),
    ("linux.devices", [{"path": "/dev/x", "fileMode": -1}], "not a number from 0"),
    ("linux.devices", [{"path": "/dev/x", "major": 195.0}], "not an integer"),
    ("hooks.prestart", [{"path": "/x", "env": {"A": "1"}}], "not a list"),
    ("hooks.prestart", [{"path": "/x", "timeout": "5"}], "not an integer"),
    ("hostname", 1, "not a string"),
)


def nested(where: str, value: object) -> dict[str, Any]:
    first, _, rest = where.partition(".")
    return {first: nested(rest, value) if rest else value}


@pytest.mark.parametrize(("where", "value", "problem"), WRONG)
def test_type_that_go_does_not_read_is_refused(where: str, value: object, problem: str) -> None:
    with pytest.raises(UntrustedError) as error:
        shape.checked(nested(where, value))
    assert str(error.value).startswith(where)
    assert problem in str(error.value)


def test_largest_numbers_of_each_type_are_read() -> None:
    limit = {"type": "RLIMIT_MEMLOCK", "soft": (1 << 64) - 1, "hard": (1 << 64) - 1}
    specification = {
        "process": {"rlimits": [limit], "user": {"uid": (1 << 32) - 1}},
        "linux": {"resources": {"memory": {"limit": -1}}, "namespaces": [{"type": "pid"}]},
    }
    assert shape.checked(specification) == specification


def test_null_is_as_a_missing_member() -> None:
    """A launcher in Python writes None as null, which Go reads as the zero value."""
    nulls = {
        "process": {"selinuxLabel": None, "args": ["true"], "env": None},
        "mounts": [{"destination": "/dev", "source": None, "options": None}],
        "annotations": {"dev.gvisor.bundle.x": None},
        "linux": None,
    }
    assert shape.checked(nulls) == {
        "process": {"args": ["true"]},
        "mounts": [{"destination": "/dev"}],
        "annotations": {"dev.gvisor.bundle.x": ""},
    }


def test_bundle_with_nulls_passes(
    valid: LaunchRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("worker_images.node.node.read", lambda: valid.node)
    found = dict(valid.specification)
    found["hooks"] = found["annotations"] = None
    found["process"]["selinuxLabel"] = None
    for mount in found["mounts"]:
        mount.setdefault("options", None)
        mount["uidMappings"] = None
    (tmp_path / "config.json").write_text(json.dumps(found))
    assert main(["lint", str(tmp_path)], ROOT) == 0
    assert "rules passed" in capsys.readouterr().out
