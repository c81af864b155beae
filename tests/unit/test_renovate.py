"""renovate.json and versions.yaml: each pin has one owner; Renovate never finds part of a pin."""

import json
import re
from collections import Counter
from datetime import UTC, datetime

import pytest

from worker_images.build.update import edit
from worker_images.build.update.proposals import UPSTREAM, proposals
from worker_images.build.update.values import Facts, Offer, Policy
from worker_images.files import ROOT
from worker_images.model.document import Location, parse
from worker_images.model.drivers.table import DRIVERS, read
from worker_images.model.pins import Pins, load

CONFIGURATION = json.loads((ROOT / "renovate.json").read_text())
TEXT = (ROOT / "versions.yaml").read_text()
Found = tuple[str, str, str, str]
# The keys of versions.yaml whose values change with a version.
PINS = {"version", "toolchain", "image", "digest", "describe", "sha256", "sha512"}
# The digest of NVIDIA's signing key, and the version of our own program.
BY_HAND: tuple[Location, ...] = (
    ("components", "nvidia-container-toolkit", UPSTREAM, "sha256"),
    ("components", "gpu-checkpoint", "version"),
)


def patterns() -> list[str]:
    return [
        pattern
        for manager in CONFIGURATION["customManagers"]
        for pattern in manager["matchStrings"]
    ]


def found(text: str) -> list[Found]:
    """Return source, name, value and digest of every match."""
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


def disabled() -> set[str]:
    """Return the packages that Renovate does not update."""
    return {
        name
        for rule in CONFIGURATION["packageRules"]
        if rule.get("enabled") is False
        for name in rule.get("matchPackageNames", ())
    }


def scalars(text: str) -> dict[Location, object]:
    return dict(edit.scalars(parse(text.encode(), "versions.yaml").value))


def updated() -> list[Location]:
    """Return the location of every value that Renovate would replace."""
    places = []
    for pattern in patterns():
        for match in re.finditer(pattern.replace("(?<", "(?P<"), TEXT):
            groups = match.groupdict()
            if groups["depName"] in disabled():
                continue
            for name in {"currentValue", "currentDigest"} & set(groups):
                begin, end = match.span(name)
                after = scalars(f"{TEXT[:begin]}0{TEXT[end:]}")
                places += [place for place, old in scalars(TEXT).items() if after[place] != old]
    return places


def expected(pins: Pins) -> list[Found]:
    """Return the pins that Renovate must find, listed by hand."""
    gvisor, runc, criu, toolkit, cuda = (
        pins.components[name]
        for name in ("gvisor", "runc", "criu", "nvidia-container-toolkit", "cuda-runtime")
    )
    assert runc.upstream
    assert cuda.upstream
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
            ("pypi", "ziglang", pins.zig.toolchain, ""),
        ]
    )


def test_renovate_finds_every_pin_that_it_manages(pins: Pins) -> None:
    assert found(TEXT) == expected(pins)
    assert TEXT.count("\n  # renovate: ") + TEXT.count("\n    # renovate: ") + TEXT.count(
        "\n      # renovate: "
    ) == len(expected(pins))


def test_every_pin_has_one_owner(pins: Pins) -> None:
    """Each pin is updated by Renovate, `build.py update` or by hand."""
    known = Facts.read(ROOT, read(ROOT / DRIVERS))
    release = known.releases.get(known.releases.newest)
    moment = datetime(2099, 1, 1, tzinfo=UTC)
    commit = "v0.0.0-20990101000000-0123456789ab"
    offer = Offer(commit, moment, 1, release, known.releases.newest, "0" * 128)
    (proposal,) = proposals(pins, [offer], known, Policy(moment.date(), 0))
    own = [change.location for change in proposal.changes]
    assert len(own) == 4
    owned = Counter([*updated(), *own, *BY_HAND])
    pins_of_a_version = {place for place in scalars(TEXT) if place[-1] in PINS}
    assert owned == Counter(pins_of_a_version)


@pytest.mark.parametrize(
    "line", [line for line in TEXT.splitlines() if line.strip().startswith("# renovate: ")]
)
def test_renovate_does_not_find_a_pin_without_its_comment(line: str, pins: Pins) -> None:
    assert len(found(TEXT.replace(f"{line}\n", "", 1))) == len(expected(pins)) - 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("datasource=pypi depName=ziglang", "datasource=npm depName=ziglang"),
        ('  toolchain: "1', "  toolchain: '1"),
        ('  toolchain: "0', "  toolchain: '0"),
        ('of the release\n      sha256: "', 'of the release\n      sha256: "Z'),
        ('  image: "debian:', '  image: "ubuntu:'),
        ("depName=criu ", "depName="),
    ],
)
def test_renovate_does_not_find_a_pin_in_another_format(old: str, new: str, pins: Pins) -> None:
    assert TEXT.count(old) == 1
    assert len(found(TEXT.replace(old, new))) == len(expected(pins)) - 1


def test_versions_load_after_an_update_by_renovate() -> None:
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
        != load(ROOT / "versions.yaml")[0]
    )


def test_patterns_use_only_re2_features() -> None:
    """RE2 has neither look-around nor back references."""
    assert len(patterns()) == 5
    assert not [
        pattern for pattern in patterns() if re.search(r"\(\?(?:[=!]|<[=!])|\\[1-9]", pattern)
    ]


def test_digests_are_looked_up_as_attachments() -> None:
    text = json.dumps(CONFIGURATION)
    assert "github-release-attachments" in text
    assert "github-releases" not in text
    assert "datasource=github-releases" not in TEXT


def test_release_age_applies_where_a_release_time_exists() -> None:
    """An age check without a release time would stay pending forever."""
    rules = CONFIGURATION["packageRules"]
    assert CONFIGURATION["minimumReleaseAge"] == "7 days"
    waived = [rule for rule in rules if rule.get("minimumReleaseAge", "") is None]
    assert [{key: rule[key] for key in rule if key.startswith("match")} for rule in waived] == [
        {"matchUpdateTypes": ["digest", "pinDigest"]},
        {"matchDatasources": ["deb"]},
    ]
    assert [rule for rule in rules if "minimumReleaseAge" in rule] == waived


def test_renovate_leaves_gvisor_to_update() -> None:
    assert disabled() == {"gvisor.dev/gvisor"}
    assert CONFIGURATION["enabledManagers"] == ["custom.regex"]


def test_rules_name_pins_that_exist(pins: Pins) -> None:
    names = {name for _, name, _, _ in expected(pins)}
    ruled = {
        name for rule in CONFIGURATION["packageRules"] for name in rule.get("matchPackageNames", ())
    }
    assert "gvisor.dev/gvisor" in ruled
    assert ruled <= names
