"""renovate.json against the real versions.yaml: every pin that Renovate manages is found, whole,
and a text without its line is not.
"""

import json
import re

import pytest

from worker_images.files import ROOT
from worker_images.model import pins
from worker_images.model.document import parse
from worker_images.model.pins import Pins

CONFIGURATION = json.loads((ROOT / "renovate.json").read_text())
TEXT = (ROOT / "versions.yaml").read_text()
Found = tuple[str, str, str, str]


def patterns() -> list[str]:
    return [
        pattern
        for manager in CONFIGURATION["customManagers"]
        for pattern in manager["matchStrings"]
    ]


def found(text: str) -> list[Found]:
    """Source, name, value and digest of every match, as Renovate's groups name them."""
    rows = []
    for pattern in patterns():
        for match in re.finditer(pattern.replace("(?<", "(?P<"), text):
            groups = match.groupdict()
            rows.append(
                (
                    groups["datasource"],
                    groups["depName"],
                    groups["currentValue"],
                    groups.get("currentDigest") or "",
                )
            )
    return sorted(rows)


def expected(pins: Pins) -> list[Found]:
    """Written by hand from the pins: what a reader would manage."""
    gvisor, runc, criu, toolkit, cuda = (
        pins.components[name]
        for name in ("gvisor", "runc", "criu", "nvidia-container-toolkit", "cuda-runtime")
    )
    return sorted(
        [
            ("docker", "debian", pins.debian.image.partition(":")[2], pins.debian.digest),
            ("golang-version", "go", pins.go.toolchain, ""),
            ("go", "gvisor.dev/gvisor", gvisor.packages.version or "", ""),
            ("go", "github.com/opencontainers/runc", runc.version, ""),
            (
                "github-release-attachments",
                "opencontainers/runc",
                runc.packages.version or "",
                runc.upstream.sha256 or "",
            ),
            ("deb", "criu", criu.version, ""),
            ("go", "github.com/NVIDIA/nvidia-container-toolkit", toolkit.version, ""),
            (
                "go",
                "github.com/NVIDIA/nvidia-container-toolkit",
                toolkit.packages.version or "",
                "",
            ),
            ("docker", "nvidia/cuda", cuda.version, cuda.upstream.digest or ""),
            ("pypi", "nvidia-cuda-runtime-cu12", cuda.packages.version or "", ""),
        ]
    )


def test_every_managed_pin_is_found(pins: Pins) -> None:
    assert found(TEXT) == expected(pins)
    assert TEXT.count("\n  # renovate: ") + TEXT.count("\n    # renovate: ") + TEXT.count(
        "\n      # renovate: "
    ) == len(expected(pins))


@pytest.mark.parametrize(
    "line", [line for line in TEXT.splitlines() if line.strip().startswith("# renovate: ")]
)
def test_without_its_line_a_pin_is_not_found(line: str, pins: Pins) -> None:
    assert len(found(TEXT.replace(f"{line}\n", "", 1))) == len(expected(pins)) - 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("datasource=pypi", "datasource=npm"),
        ('  toolchain: "', "  toolchain: '"),
        ('of the release\n      sha256: "', 'of the release\n      sha256: "Z'),
        ('  image: "debian:', '  image: "ubuntu:'),
        ("depName=criu ", "depName="),
    ],
)
def test_a_spoiled_pin_is_not_found(old: str, new: str, pins: Pins) -> None:
    assert TEXT.count(old) == 1
    assert len(found(TEXT.replace(old, new))) == len(expected(pins)) - 1


def test_a_pin_that_renovate_moves_still_loads() -> None:
    text = TEXT
    for source, _, value, _ in found(TEXT):
        if source in {
            "go",
            "golang-version",
            "github-release-attachments",
        } and not value.startswith("v0.0.0-"):
            text = text.replace(f'"{value}"', f'"{value[:-1]}9"')
    assert (
        Pins.model_validate(parse(text.encode(), "versions.yaml").value)
        != pins.load(ROOT / "versions.yaml")[0]
    )


def test_patterns_are_of_re2() -> None:
    """Renovate's engine knows neither look-around nor back references."""
    assert len(patterns()) == 5
    assert not [
        pattern for pattern in patterns() if re.search(r"\(\?(?:[=!]|<[=!])|\\[1-9]", pattern)
    ]


def test_digests_are_never_looked_up_as_releases() -> None:
    text = json.dumps(CONFIGURATION)
    assert "github-release-attachments" in text
    assert "github-releases" not in text
    assert "datasource=github-releases" not in TEXT


def test_renovate_waits_and_leaves_gvisor_to_us() -> None:
    assert CONFIGURATION["minimumReleaseAge"] == "7 days"
    rules = [
        rule
        for rule in CONFIGURATION["packageRules"]
        if "gvisor.dev/gvisor" in rule.get("matchPackageNames", ())
    ]
    assert [rule["enabled"] for rule in rules] == [False]
    assert CONFIGURATION["enabledManagers"] == ["custom.regex"]


def test_every_rule_is_of_a_pin_that_exists(pins: Pins) -> None:
    names = {name for _, name, _, _ in expected(pins)}
    ruled = {
        name for rule in CONFIGURATION["packageRules"] for name in rule.get("matchPackageNames", ())
    }
    assert "gvisor.dev/gvisor" in ruled
    assert ruled <= names
