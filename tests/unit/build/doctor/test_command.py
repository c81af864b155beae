"""The command `build.py doctor`: exit codes and output."""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import commands
from tests.support.facts import GOOD
from worker_images.build.doctor import survey
from worker_images.cli import main
from worker_images.files import ROOT


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_fault_is_exit_4_with_the_rows_on_standard_output(
    options: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(survey, "gather", lambda _: replace(GOOD, driver="525.60"))
    assert main.main(["doctor", *options], ROOT) == 4
    output = capsys.readouterr()
    assert (
        output.err
        == "build.py: this machine is not ready: gvisor; apply the listed fixes and run again\n"
    )
    if options:
        assert json.loads(output.out)[-1]["fix"] == "install driver 535.129.03"
    else:
        assert output.out.splitlines()[-2:] == [
            "fault    gvisor        20260622.0 does not serve driver 525.60",
            "                       → install driver 535.129.03",
        ]


def test_warnings_are_exit_0(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(survey, "gather", lambda _: replace(GOOD, devices=()))
    assert main.main(["doctor"], ROOT) == 0
    output = capsys.readouterr()
    assert "warning  gpu" in output.out
    assert output.err == ""


def test_doctor_ends_and_shows_no_password_when_nothing_answers(tmp_path: Path) -> None:
    """Behind a dead engine and dead proxies every probe ends; no password or file is written."""
    closed = "http://name:s3cret@127.0.0.1:9"
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), closed) | {
        "no_proxy": "",
        "NO_PROXY": "",
    }
    indexes = {"GOPROXY": f"{closed}/go,direct", "PIP_INDEX_URL": f"{closed}/simple/"}
    environment = {
        **os.environ,
        **proxies,
        **indexes,
        "XDG_CACHE_HOME": str(tmp_path),
        "DOCKER_HOST": f"unix://{tmp_path}/none.sock",
    }
    command = [sys.executable, str(ROOT / "build.py"), "doctor", "--json"]
    result = commands.run(command, env=environment)
    states = {each["subject"]: each["state"] for each in json.loads(result.stdout)}
    assert result.returncode == 4, result.stderr
    assert all(
        states[subject] == "fault"
        for subject in ("engine", "debian mirror", "go proxy", "python index")
    )
    assert states["proxies"] == "ok"
    assert "s3cret" not in result.stdout + result.stderr
    assert list(tmp_path.iterdir()) == []
