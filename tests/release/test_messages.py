"""Do wrong options and settings end with the cause, the next step and the exit code of each?"""

import os
from pathlib import Path

import pytest

from tests.support.sites import SLIM, VERSION, Site, kept
from tests.support.small_releases import Factory
from worker_images.release import registry

WRONG = {"COSIGN_PASSWORD": "not this one"}
ABSENT = "127.0.0.1:1/team/worker"


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["--ca-file", "/none"], 2, "--ca-file: /none: no such file"),
        (["--to", "team/w2"], 2, "--to 'team/w2': not a repository: use a name with its registry"),
        (["--require", ""], 2, "--require: '': no such layer; known layers: image, pod"),
        (["--require", "image,"], 2, "--require: '': no such layer; known layers: image, pod"),
        (
            ["--version", "1.4.0-slim"],
            2,
            "ends with a variant, and tags are VERSION-VARIANT; use 1",
        ),
        (
            ["--version", "1.4.0-full"],
            2,
            "ends with a variant, and tags are VERSION-VARIANT; use 1",
        ),
        (["--results-key", "/none"], 2, "--results-key /none: no such file"),
        (["--key", "README.md"], 2, "--key README.md: not a private key; use one of ./build.py"),
        (["--key", "docs"], 2, "--key docs: not a file; make a key with: ./build.py release-key"),
        (["--keyless"], 2, "sign either with --key FILE, or in a hosted workflow with --keyless"),
        (["--identity", "a"], 2, "--identity and --issuer need --keyless; with --key leave them"),
        (["--builder-id", "a b"], 2, "--builder-id 'a b': not a URI; use one such as https://"),
        (["--results", "docs"], 2, "--results docs: contains none of image.xml, pod.xml, work"),
        (
            ["--to", ABSENT],
            6,
            "connecting to 127.0.0.1:1: dial tcp 127.0.0.1:1: connect: connection",
        ),
    ],
)
def test_wrong_option_of_release_has_its_message(
    words: list[str], code: int, text: str, site: Site
) -> None:
    done = site.release("slim", "wrong", *words)
    assert done.returncode == code, done.stderr
    assert text in done.stderr
    assert "latest" not in done.stderr
    assert "Traceback" not in done.stderr


def test_public_key_does_not_sign(site: Site) -> None:
    done = site.release("slim", "wrong", "--key", str(site.public_key))
    assert done.returncode == 2, done.stderr
    assert (
        f"--key {site.public_key}: a public key; sign with the .key file of the pair" in done.stderr
    )


def test_wrong_password_of_the_key_is_named(site: Site) -> None:
    done = site.release("slim", "wrong", **WRONG)
    assert done.returncode == 2, done.stderr
    assert f"reading {site.key}: COSIGN_PASSWORD is not the password of the key" in done.stderr


def test_missing_password_of_the_key_is_named(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COSIGN_PASSWORD")
    done = site.release("slim", "wrong")
    assert done.returncode == 2, done.stderr
    text = "COSIGN_PASSWORD is not set; set it to the password of the key"
    assert f"reading {site.key}: {text}" in done.stderr


def test_uncommitted_files_are_named(site: Site) -> None:
    changed = [site.checkout / f"notes-{number}.md" for number in range(7)]
    for path in changed:
        path.write_text("not committed\n")
    try:
        done = site.release("slim", "wrong")
    finally:
        for path in changed:
            path.unlink()
    assert done.returncode == 7, done.stderr
    names = ", ".join(f"notes-{number}.md" for number in range(5))
    assert f"these files are not committed: {names} and 2 more; commit them, or" in done.stderr


def test_key_in_the_checkout_is_not_a_change(site: Site) -> None:
    made = site.run("release-key", "--output", "own")
    assert made.returncode == 0, made.stderr
    done = site.release("slim", "9.2", "--dry-run", "--key", "own.key")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("password", "name"), [("", "team"), ("x", "folder")])
def test_key_without_password_or_name_is_refused(
    password: str, name: str, site: Site, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    made = site.run("release-key", "--output", tmp_path / name, COSIGN_PASSWORD=password)
    assert made.returncode == 2, made.stderr
    assert ("not a file; use a name" if password else "COSIGN_PASSWORD is not set") in made.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_dry_run_reads_the_archive(site: Site) -> None:
    """A changed byte in the middle of a layer is found before a release."""
    archive = SLIM / "image.tar"
    before, times = archive.read_bytes(), archive.stat()
    middle = len(before) // 2
    with kept(archive):
        archive.write_bytes(before[:middle] + bytes([before[middle] ^ 1]) + before[middle + 1 :])
        os.utime(archive, ns=(times.st_atime_ns, times.st_mtime_ns))
        done = site.release("slim", "9.3", "--dry-run")
    assert done.returncode == 7, done.stderr
    assert "the archive changed after its tests, and no tag was moved; remove it," in done.stderr


def test_second_key_of_a_release_is_a_warning(site: Site, tmp_path: Path) -> None:
    made = site.run("release-key", "--output", tmp_path / "other")
    assert made.returncode == 0, made.stderr
    first = site.release("slim", "0.7")
    assert first.returncode == 0, first.stderr
    done = site.release("slim", "0.7", "--key", str(tmp_path / "other.key"))
    assert done.returncode == 0, done.stderr
    assert "warning: another key signed 0.7-slim; this key signs it too" in done.stderr


@pytest.mark.parametrize("name", ["team", "team.key", "team.pub"])
def test_key_is_made_with_and_without_its_suffix(name: str, site: Site, tmp_path: Path) -> None:
    done = site.run("release-key", "--output", tmp_path / name)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["team.key", "team.pub"]


def test_dry_run_needs_no_key(site: Site) -> None:
    """Without one, signatures are not checked, and the output does not claim it."""
    options = ["--variant", "slim", "--arch", "amd64", "--to", site.target, "--dry-run"]
    for version, text in (("9.1", "would be released"), (VERSION, "already tagged")):
        done = site.run("release", *options, "--version", version)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(f"{text:16} {site.target}:{version}-slim")


def test_rollback_of_a_version_that_one_variant_lacks_names_the_other(
    site: Site, factory: Factory
) -> None:
    place = registry.connect(factory.tools, site.target)
    found = place.resolve(f":{VERSION}-slim")
    assert found
    place.tag(found, "0.9-slim")
    words = ["--registry", site.target, "--key", str(site.public_key)]
    done = site.run("rollback", "--to", "0.9", *words)
    assert done.returncode == 6, done.stderr
    assert "0.9-full: not found; add --variant slim" in done.stderr


def test_malformed_digest_is_named(site: Site) -> None:
    done = site.verify(f"{site.target}@sha256:abc")
    assert done.returncode == 2, done.stderr
    assert "@sha256:abc': not a digest: use sha256: with 64 hexadecimal digits" in done.stderr


def test_broken_record_does_not_end_a_published_release(site: Site) -> None:
    """It is written again."""
    (path,) = (site.checkout / "out/release" / VERSION).glob(f"{site.proxy.address}*.json")
    whole = path.read_text()
    path.write_text("{}")
    done = site.release("all", VERSION)
    assert done.returncode == 0, done.stderr
    assert f"{path}: not a record of a release:" in done.stderr
    assert "; it is written again" in done.stderr
    assert path.read_text() == whole
