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
        (
            "#8 0.5 go: a@v1 (replaced by b@v1): reading https://proxy/b/@v/v1.mod: 404 Not Found",
            FetchError,
            "check module and version in versions.yaml",
        ),
        (
            "#8 0.5 go: b@v1: verifying module: b@v1: reading https://sum/lookup/b: 404 Not Found",
            FetchError,
            "GONOSUMDB for your own fork",
        ),
        ("#8 dial tcp: lookup proxy.golang.org: no such host", FetchError, "check the network"),
        ("#8 failed: 429 Too Many Requests", FetchError, "run docker login"),
        ("#8 1.2 E: Version '1-1' for 'x' was not found", FetchError, "pin a version that it has"),
        ("#8 1.2 Sub-process sqv returned: Missing key 0A", FetchError, "check it and pin"),
        ("#8 1.2 E: Release file is not valid yet", FetchError, "clock"),
        ("#8 1.2 E: Failed to fetch x  Hash Sum mismatch", FetchError, "middle of an update"),
        ("#8 1.2 E: Failed to fetch http://x  404", FetchError, "check the network"),
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


def test_cause_is_found_where_the_engine_does_not_repeat_the_last_lines(tmp_path: Path) -> None:
    """BuildKit may end before it repeats them; another step's lines are no cause."""
    lines = (
        "#7 0.1 E: Failed to fetch http://x  404",
        "#8 0.1 E: Version '1-1' for 'x' was not found",
        "#7 CANCELED",
        '#8 ERROR: process "/bin/sh -c apt-get" did not complete successfully: exit code: 100',
    )
    found = failure("\n".join(lines), tmp_path)
    assert type(found) is FetchError
    assert "Version '1-1' for 'x' was not found; the repository lacks" in str(found)


# What the program patch prints, after the text of an earlier step.
PATCHED = """\
#7 0.1 applying images/components/runc/patches/0001-other.patch
#7 0.1 patching file other.go
#7 0.1 Hunk #1 FAILED at 1.
#7 0.1 1 out of 1 hunk FAILED -- saving rejects to file other.go.rej
#8 0.1 applying images/components/gvisor/patches/0001-a.patch
#8 0.1 patching file fine.go
#8 0.2 applying images/components/gvisor/patches/0002-b.patch
#8 0.2 patching file x/y.go
#8 0.2 Hunk #2 FAILED at 40.
#8 0.2 Hunk #3 FAILED at 90.
#8 0.2 2 out of 3 hunks FAILED -- saving rejects to file x/y.go.rej
#8 0.2 can't find file to patch at input line 30
#8 0.2 |--- a/none.go
#8 0.2 |+++ b/none.go
#8 0.2 1 out of 1 hunk ignored
#8 ERROR: process "/bin/sh -c patch" did not complete successfully: exit code: 1"""


def failure(text: str, folder: Path) -> ImageBuildError:
    """The error of a build that prints a text and fails."""
    (folder / "text").write_text(text)
    command = ("sh", "-c", f"cat {folder}/text; exit 1")
    job = buildx.Job(Path("f"), Path("c"), "type=docker", 1)
    with pytest.raises(ImageBuildError) as caught:
        buildx.build(
            Endpoint(Address("unix:///none"), command, "docker"), {"a": job}, folder / "build.log"
        )
    return caught.value


def test_patch_that_does_not_apply_is_named_with_files_and_hunks(tmp_path: Path) -> None:
    found = failure(PATCHED, tmp_path)
    assert type(found) is EngineError
    assert str(found).startswith(
        "building: images/components/gvisor/patches/0002-b.patch does not apply: x/y.go: Hunk #2"
        " FAILED at 40, Hunk #3 FAILED at 90; no file for b/none.go; change the patch, or delete it"
    )


def test_other_failure_of_a_step_with_patches_is_not_one_of_a_patch(tmp_path: Path) -> None:
    lines = [line for line in PATCHED.splitlines() if "hunk" not in line.lower()]
    assert "does not apply" not in str(failure("\n".join(lines), tmp_path))


def test_patched_sources_that_differ_from_the_lock_are_drift(tmp_path: Path) -> None:
    message = "the digest of the patched sources is not that of versions.lock"
    step = f'#8 ERROR: exit code: 1\n------\n > [gvisor 4/5] RUN echo "{message}"; exit 1:\n'
    found = failure(f"{step}0.900 {message}\n------\n", tmp_path)
    assert type(found) is DriftError
    assert f"{message}; run: make lock" in str(found)
    assert type(failure(f"{step}0.900 other\n------\n", tmp_path)) is EngineError


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


@pytest.mark.parametrize("name", ["ca.pem", "a,b.pem", 'a"b.pem'])
def test_certificates_may_have_any_path(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).touch()
    monkeypatch.setattr(buildx, "CERTIFICATES", tmp_path / name)
    job = buildx.Job(Path("f"), Path("c"), "type=docker", 1, network=True)
    (secret,) = json.loads(buildx.bake({"one": job}))["target"]["one"]["secret"]
    assert next(csv.reader([secret])) == ["id=ca", f"src={tmp_path / name}"]


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


def test_text_of_a_failed_command_is_no_cause(tmp_path: Path) -> None:
    """BuildKit repeats the command, which may contain any word."""
    line = '#8 ERROR: process "/bin/sh -c apt-get install; echo x509: no such host" failed'
    with pytest.raises(EngineError, match="ERROR: process"):
        buildx.build(
            Endpoint(Address("unix:///none"), ("sh", "-c", f"echo '{line}'; exit 1"), "docker"),
            {"one": buildx.Job(Path("f"), Path("c"), "type=docker", 1)},
            tmp_path / "build.log",
        )


def test_secret_is_in_the_environment_of_buildx_and_in_no_file(tmp_path: Path) -> None:
    job = buildx.Job(Path("f"), Path("c"), "type=docker", 1, secrets={"auth.conf": "correct-horse"})
    show = 'test "$WORKER_SECRET_AUTH_CONF" = correct-horse'
    endpoint = Endpoint(Address("unix:///none"), ("sh", "-c", show), "docker")
    buildx.build(endpoint, {"one": job}, tmp_path / "build.log")
    bake = (tmp_path / "build.bake.json").read_text()
    assert "id=auth.conf,env=WORKER_SECRET_AUTH_CONF" in bake
    assert not [path for path in tmp_path.iterdir() if b"correct-horse" in path.read_bytes()]
