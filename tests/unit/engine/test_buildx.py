"""Runs of buildx: progress, log, and the message of a failure."""

import csv
import json
from pathlib import Path

import pytest

from worker_images.engine import buildx
from worker_images.engine.daemon import Address
from worker_images.engine.endpoint import Endpoint
from worker_images.errors import DriftError, EngineError, FetchError, ImageBuildError


def test_progress_goes_to_standard_error_and_to_the_log(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    endpoint = Endpoint(Address("unix:///none"), ("sh", "-c", "echo step >&2"), "docker")
    job = buildx.Job(Path("f"), Path("c"), "type=docker", 1)
    buildx.build(endpoint, {"one": job}, tmp_path / "build.log")
    assert (tmp_path / "build.log").read_text() == "step\n"
    assert capfdbinary.readouterr().err == b"step\n"


def test_failed_build_reports_cause_and_log(tmp_path: Path) -> None:
    job = buildx.Job(Path("f"), Path("c"), "type=docker", 1)
    endpoint = Endpoint(
        Address("unix:///none"),
        ("sh", "-c", "echo fine; echo '#8 ERROR: process did not complete'; exit 1"),
        "docker",
    )
    with pytest.raises(
        EngineError,
        match=r"building: #8 ERROR: process did not complete; full log: .*build\.log",
    ):
        buildx.build(endpoint, {"one": job}, tmp_path / "build.log")
    assert (tmp_path / "build.log").read_text().startswith("fine\n")


@pytest.mark.parametrize(
    ("line", "kind", "message"),
    [
        (
            "#8 1.2 missing go.sum entry for module providing package x",
            DriftError,
            "run: make lock",
        ),
        ("#8 3.4 SECURITY ERROR", FetchError, "not the pinned bytes"),
        (
            "#8 sha512sum: WARNING: 1 computed checksum did NOT match",
            FetchError,
            "not the pinned bytes",
        ),
        ("#8 dial tcp: lookup proxy.golang.org: no such host", FetchError, "check the network"),
        ("#8 undefined: os.Foo", EngineError, "undefined: os.Foo"),
    ],
)
def test_error_of_a_failed_step_depends_on_its_cause(
    line: str, kind: type[ImageBuildError], message: str, tmp_path: Path
) -> None:
    endpoint = Endpoint(Address("unix:///none"), ("sh", "-c", f"echo '{line}'; exit 1"), "docker")
    with pytest.raises(kind, match=message) as caught:
        buildx.build(
            endpoint,
            {"one": buildx.Job(Path("f"), Path("c"), "type=docker", 1)},
            tmp_path / "build.log",
        )
    assert type(caught.value) is kind


@pytest.mark.parametrize("name", ["image.tar", "a,b.tar", 'a"b.tar', "a b.tar"])
def test_archive_may_have_any_path(name: str) -> None:
    """buildx reads the output option as comma-separated values."""
    (row,) = csv.reader([buildx.archive(Path("/folder") / name)])
    assert row == [
        "type=docker",
        f"dest=/folder/{name}",
        "rewrite-timestamp=true",
        "oci-mediatypes=true",
    ]


def test_bake_file_contains_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:hunter2@proxy")
    text = buildx.bake(
        {"one": buildx.Job(Path("${f"), Path("c"), "type=docker", 1, no_cache=True, target="t")}
    )
    assert "hunter2" not in text
    found = json.loads(text)["target"]["one"]
    assert found["args"] == {"SOURCE_DATE_EPOCH": "1", "HTTPS_PROXY": "${HTTPS_PROXY}"}
    assert (found["no-cache"], found["target"], found["context"], found["dockerfile"]) == (
        True,
        "t",
        "c",
        "$${f",
    )


def test_caches_are_images_in_registries() -> None:
    job = buildx.Job(Path("f"), Path("c"), "type=docker", 1, cache_from="r/a:1", cache_to="r/b:1")
    target = json.loads(buildx.bake({"one": job}))["target"]["one"]
    assert target["cache-from"] == ["type=registry,ref=r/a:1"]
    assert target["cache-to"] == [
        "type=registry,ref=r/b:1,mode=max,image-manifest=true,oci-mediatypes=true"
    ]
    plain = json.loads(buildx.bake({"one": buildx.Job(Path("f"), Path("c"), "type=docker", 1)}))
    assert not [key for key in plain["target"]["one"] if "cache-" in key]
