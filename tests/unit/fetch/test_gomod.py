"""Go modules: hashes, proxies and zips."""

import io
import warnings
import zipfile
from pathlib import Path

import pytest

from tests.support.modules import PREFIX, zipped
from worker_images.errors import DriftError, FetchError
from worker_images.fetch import gomod, http
from worker_images.fetch.gomod import File
from worker_images.files import ROOT


def test_hash_is_the_one_of_go(tmp_path: Path) -> None:
    """The hash of the go.mod of golang.org/toolchain is the one in Go's checksum database."""
    assert (
        gomod.hash1([("go.mod", b"module golang.org/toolchain\n")])
        == "h1:8wlg68NqwW7eMnI1aABk/C2pDYXj8mrMY4TyRfiLeS0="
    )
    (tmp_path / "x.zip").write_bytes(zipped(a=b"1", b=b"2"))
    assert gomod.hash_of_zip(tmp_path / "x.zip", PREFIX) == gomod.hash1(
        [(f"{PREFIX}b", b"2"), (f"{PREFIX}a", b"1")]
    )
    assert gomod.hash_of_zip(tmp_path / "x.zip", PREFIX) != gomod.hash1(
        [(f"{PREFIX}b", b"1"), (f"{PREFIX}a", b"2")]
    )


def test_name_is_escaped_as_on_proxies() -> None:
    assert (
        File("github.com/NVIDIA/go-nvml", "v0.13.0-1", "h1:").name
        == "github.com/!n!v!i!d!i!a/go-nvml/@v/v0.13.0-1.zip"
    )
    assert (
        File("a.org/b", "v1.0.0+incompatible", "h1:", mod=True).name
        == "a.org/b/@v/v1.0.0+incompatible.mod"
    )


def test_every_line_of_every_go_sum_is_read() -> None:
    for path in ROOT.glob("images/components/*/go.sum"):
        lines = path.read_text().splitlines()
        assert len(gomod.files(path.read_text(), "go.sum")) == len(set(lines)) > 10


SUM = f"h1:{43 * 'a'}="


@pytest.mark.parametrize(
    "line",
    [
        "",
        "a v1 h2:x",
        "a.org/b v1.0.0 h1:short=",
        f"../x v1.0.0 {SUM}",
        f"a.org/../../x v1.0.0 {SUM}",
        f"a.org/b v/../../x {SUM}",
        f"a.org/b v1/../../x {SUM}",
        f"/etc/x v1.0.0 {SUM}",
        f"a.org//x v1.0.0 {SUM}",
    ],
)
def test_invalid_line_of_go_sum_is_an_error(line: str) -> None:
    good = f"a.org/b v1.0.0 {SUM}"
    with pytest.raises(
        DriftError, match=r"images/x/go\.sum:2:1: not a valid line of go\.sum; run: make lock"
    ):
        gomod.files(f"{good}\n{line}\n", "images/x/go.sum")


@pytest.mark.parametrize("named", ["off", "direct", "file:///x"])
def test_download_without_a_proxy_is_an_error(
    named: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A module in the cache needs no proxy."""
    monkeypatch.setenv("GOPROXY", named)
    assert gomod.proxies() == ()
    (file,) = gomod.files(f"a.org/b v1.0.0/go.mod {SUM}\n", "go.sum")
    with pytest.raises(
        FetchError,
        match=(
            r"Go module a\.org/b v1\.0\.0: no address to fetch it from; check the network and"
            r" GOPROXY"
        ),
    ):
        http.ensure(file.download(gomod.proxies()), tmp_path / "file")


@pytest.mark.parametrize(
    ("named", "found"),
    [
        ("", (gomod.PROXY,)),
        ("https://a.org/,direct", ("https://a.org",)),
        ("http://b.org|https://c.org", ("http://b.org", "https://c.org")),
    ],
)
def test_proxies_are_those_of_the_environment(
    named: str, found: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOPROXY", named)
    assert gomod.proxies() == found


def zip_of(*names: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for name in names:
            archive.writestr(name, "x")
    return stream.getvalue()


@pytest.mark.parametrize(
    "names",
    [(f"{PREFIX}a\nb",), (f"{PREFIX}a", f"{PREFIX}a"), ("elsewhere/a",), (f"{PREFIX}../../x\n",)],
)
def test_zip_with_ambiguous_names_is_refused(names: tuple[str, ...], tmp_path: Path) -> None:
    """A name with a line break can hide a file without a change of the hash."""
    (tmp_path / "x.zip").write_bytes(zip_of(*names))
    with pytest.raises(ValueError, match="duplicate, contain a line break"):
        gomod.hash_of_zip(tmp_path / "x.zip", PREFIX)


def test_zip_with_valid_names_is_hashed(tmp_path: Path) -> None:
    """The control of the test above."""
    (tmp_path / "x.zip").write_bytes(zip_of(f"{PREFIX}a", f"{PREFIX}b"))
    assert gomod.hash_of_zip(tmp_path / "x.zip", PREFIX).startswith("h1:")


def test_zip_that_is_too_large_unpacked_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gomod, "MAX_ZIP_BYTES", 1)
    (tmp_path / "x.zip").write_bytes(zip_of(f"{PREFIX}a", f"{PREFIX}b"))
    with pytest.raises(ValueError, match="more than 1 bytes unpacked"):
        gomod.hash_of_zip(tmp_path / "x.zip", PREFIX)
