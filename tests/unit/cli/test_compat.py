"""The command `build.py compat`: answers and exit codes of each query, and usage errors."""

import json
import sys
from pathlib import Path

import pytest

from tests.support import commands
from tests.support.drivers import TABLE, row
from worker_images.cli import compat, main
from worker_images.files import ROOT
from worker_images.model.drivers import chart, table, version
from worker_images.model.tree import Tree


def run_compat(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    """Return the exit code and both streams of the command."""
    code = main.main(["compat", *argv], ROOT)
    output = capsys.readouterr()
    return code, output.out, output.err


def test_driver_and_release_of_the_requirements(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run_compat(capsys, "--driver", "535.129.03", "--release", "20250407.0")
    assert code == 7
    assert "535.129.03: dropped in 20240916.0, back in 20250611.0" in out
    assert (
        "set gvisor.version to 20260817.0 with its other pins (./build.py update --write, or"
        " all four by hand)" in err
    )
    assert "or install driver 535.183.01" in err
    assert run_compat(capsys, "--driver", "535.129.03", "--release", "20250611.0")[0] == 0


def test_drivers_list_the_releases_that_serve_all(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, _ = run_compat(capsys, "--driver", "v535.129.03", " 580.159.04\t", "--json")
    data = json.loads(out)
    assert (code, data["served"], data["pinned"], data["drivers"]) == (
        0,
        True,
        True,
        ["535.129.03", "580.159.04"],
    )
    assert (data["releases"][0], data["releases"][-1]) == ("20260817.0", "20260608.0")


def test_unserved_driver_lists_the_nearest_drivers(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run_compat(capsys, "--driver", "580.159.02", "--json")
    data = json.loads(out)
    assert (code, data["served"], data["releases"]) == (7, False, [])
    assert data["nearest"] == {"580.159.02": ["580.126.20", "580.159.03"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("20250408.0", "the nearest are 20250407.0 and 20250414.0"),
        ("20990101.0", "the nearest are 20260817.0"),
        ("20260622." + "9" * 5000, "is not a gVisor release"),
        ("20250407", "did you mean 20250407.0?"),
        ("20250407.0\n", "not a gVisor release"),
        ("2025\u0660407.0", "not a gVisor release"),
    ],
)
def test_unknown_release_lists_the_nearest_releases(
    text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run_compat(capsys, "--release", text)
    assert (code, out) == (2, "")
    assert message in err
    assert version.release("release-20250407.0", TABLE) == "20250407.0"


def test_release_is_checked_against_the_fleet(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run_compat(capsys, "--release", "20260622.0", "--json")
    data = json.loads(out)
    assert (code, data["supported"], data["known"]) == (
        0,
        list(row("20260622.0").supported),
        list(row("20260622.0").known),
    )
    code, out, _ = run_compat(capsys, "--release", "20260511.0", "--json")
    assert (code, json.loads(out)["fleet_unserved"]) == (7, ["580.159.04"])


def test_change_lists_gains_losses_and_unserved_fleet_drivers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, _ = run_compat(capsys, "--from", "20260622.0", "--to", "20260511.0", "--json")
    data = json.loads(out)
    assert (code, data["gained"], data["lost"]) == (
        7,
        [],
        ["535.309.01", "580.159.03", "580.159.04"],
    )
    assert data["fleet_breaks"] == ["580.159.04"]
    code, out, _ = run_compat(capsys, "--from", "20260511.0", "--json")
    assert (code, json.loads(out)["gained"]) == (0, ["535.309.01", "580.159.03", "580.159.04"])


def test_driver_of_two_parts_is_that_with_00(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run_compat(capsys, "--driver", "615.62", "--release", "20260817.0")
    assert (code, "20260817.0 serves 615.62" in out) == (0, True)
    assert run_compat(capsys, "--driver", "615.62", "--release", "20260810.0")[0] == 7
    code, _, err = run_compat(capsys, "--driver", "535.54.3")
    assert (code, "did you mean 535.54.03?" in err) == (2, True)


def test_driver_of_a_jetson_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run_compat(capsys, "--driver", "540.4.0")
    assert code == 7
    assert "a driver of Jetson (L4T), which no gVisor release serves" in out
    assert "no other driver can be installed on it" in err
    assert "nearest" not in out


def test_advice_names_drivers_that_exist_for_the_architecture(
    capsys: pytest.CaptureFixture[str],
) -> None:
    query = ("--driver", "570.133.19", "--release", "20260622.0")
    assert "install driver 570.133.20 (not published for arm64)" in run_compat(capsys, *query)[1]
    _, out, _ = run_compat(capsys, *query, "--arch", "arm64")
    assert "install driver 570.172.08" in out
    assert "570.133.20" not in out
    assert run_compat(capsys, *query, "--arch", "aarch64")[1] == out
    newer = ("--driver", "620.05.00", "--release", "20260810.0", "--arch")
    assert "install driver 620.06.00" in run_compat(capsys, *newer, "arm64")[1]
    assert "620.06.00" not in run_compat(capsys, *newer, "amd64")[1]
    assert run_compat(capsys, "--node", "--arch", "arm64")[0] == 2


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["--driver", "580.159.04", "--node"],
        ["--to", "20260622.0"],
        ["--from", "20260622.0", "--release", "1"],
    ],
)
def test_combined_queries_are_refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run_compat(capsys, *argv)
    assert (code, out) == (2, "")
    assert "give one of --driver" in err


def test_invalid_fleet_is_reported_as_by_a_build(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "versions.yaml"
    text = (ROOT / "versions.yaml").read_text()
    path.write_text(text.replace('["535.129.03", "580.159.04"]', '"535.129.03"'))
    code, out, err = run_compat(capsys, "--release", "20260622.0", "--versions", str(path))
    assert (code, out) == (2, "")
    assert "fleet.drivers: a string" in err
    path.write_text(text.replace('["535.129.03", "580.159.04"]', '["550.54.14"]'))
    assert run_compat(capsys, "--release", "20260622.0", "--versions", str(path))[0] == 7


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (('["535.129.03", "580.159.04"]', '["abc"]'), "fleet.drivers[0]: 'abc'"),
        (("  gvisor:", "  gvisors:"), "does not pin gvisor"),
    ],
)
def test_pins_without_a_driver_or_release_are_refused(
    edit: tuple[str, str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "versions.yaml"
    path.write_text((ROOT / "versions.yaml").read_text().replace(*edit))
    code, out, err = run_compat(capsys, "--driver", "580.159.04", "--versions", str(path))
    assert (code, out) == (2, "")
    assert message in err


def test_compat_imports_no_slow_module() -> None:
    """Importing pydantic alone would add a third to the run time."""
    program = (
        "import sys; from worker_images.cli import main as cli; from pathlib import"
        " Path\ncli.main(['compat', '--driver', '535.129.03'],"
        " Path('.'))\nprint(sorted({'pydantic', 'jinja2', 'docker', 'http.client', 'yaml'} &"
        " set(sys.modules)), file=sys.stderr)"
    )
    result = commands.run([sys.executable, "-c", program], cwd=ROOT)
    assert result.stderr == "['yaml']\n"


def test_chart_shows_the_driver_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_compat(capsys, "--svg", str(tmp_path / "drivers.svg"))[0] == 0
    drawn = (tmp_path / "drivers.svg").read_text()
    assert drawn == (ROOT / "docs/drivers.svg").read_text(), (
        "run: ./build.py compat --svg docs/drivers.svg"
    )
    pinned = compat._pinned(ROOT / "versions.yaml", Tree(ROOT))  # noqa: SLF001
    assert chart.svg(TABLE, pinned) == drawn
    assert chart.svg(table.Table(TABLE.releases[:-1]), pinned) != drawn
    assert all(f">{each}</text>" in drawn for each in TABLE.drivers if each not in pinned.fleet)
    assert all(f'class="mark">▶ {each}</text>' in drawn for each in (*pinned.fleet, pinned.release))


@pytest.mark.parametrize("name", ["/no/such/folder/x.svg", "/", "."])
def test_chart_is_refused_without_an_existing_folder(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run_compat(capsys, "--svg", name)
    assert (code, out) == (2, "")
    assert "not a file in an existing folder" in err
