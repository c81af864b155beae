"""Go modules: checksums, proxies and archives."""

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


def test_sums_are_gos(tmp_path: Path) -> None:
    """Against what Go's checksum database has for the go.mod of golang.org/toolchain
    v0.0.1-go1.26.11.linux-amd64.
    """
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


def test_names_are_the_proxys() -> None:
    assert (
        File("github.com/NVIDIA/go-nvml", "v0.13.0-1", "h1:").name
        == "github.com/!n!v!i!d!i!a/go-nvml/@v/v0.13.0-1.zip"
    )
    assert (
        File("a.org/b", "v1.0.0+incompatible", "h1:", mod=True).name
        == "a.org/b/@v/v1.0.0+incompatible.mod"
    )


def test_every_line_of_every_go_sum_is_a_file() -> None:
    for path in ROOT.glob("images/components/*/go.sum"):
        lines = path.read_text().splitlines()
        assert len(gomod.files(path.read_text(), "go.sum")) == len(set(lines)) > 10


RIGHT_SUM = f"h1:{43 * 'a'}="


@pytest.mark.parametrize(
    "line",
    [
        "",
        "a v1 h2:x",
        "a.org/b v1.0.0 h1:short=",
        f"../x v1.0.0 {RIGHT_SUM}",
        f"a.org/../../x v1.0.0 {RIGHT_SUM}",
        f"a.org/b v/../../x {RIGHT_SUM}",
        f"a.org/b v1/../../x {RIGHT_SUM}",
        f"/etc/x v1.0.0 {RIGHT_SUM}",
        f"a.org//x v1.0.0 {RIGHT_SUM}",
    ],
)
def test_what_is_no_sum_is_told_by_its_line(line: str) -> None:
    good = f"a.org/b v1.0.0 {RIGHT_SUM}"
    with pytest.raises(
        DriftError, match=r"images/x/go\.sum:2:1: not a line of go\.sum; run: make lock"
    ):
        gomod.files(f"{good}\n{line}\n", "images/x/go.sum")


@pytest.mark.parametrize("named", ["off", "direct", "file:///x"])
def test_proxy_is_missed_where_a_module_has_to_be_fetched(
    named: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Not before: what is in the cache needs none."""
    monkeypatch.setenv("GOPROXY", named)
    assert gomod.proxies() == ()
    (file,) = gomod.files(f"a.org/b v1.0.0/go.mod {RIGHT_SUM}\n", "go.sum")
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
def test_proxies_are_the_readers(
    named: str, found: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOPROXY", named)
    assert gomod.proxies() == found


def odd_zip(*names: str) -> bytes:
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
def test_a_zip_that_could_stand_for_another_is_refused(
    names: tuple[str, ...], tmp_path: Path
) -> None:
    """A name with a line break can read as two lines of the sum, so that a file vanishes and the
    sum is right.
    """
    (tmp_path / "x.zip").write_bytes(odd_zip(*names))
    with pytest.raises(ValueError, match="twice or with a line break"):
        gomod.hash_of_zip(tmp_path / "x.zip", PREFIX)


def test_a_plain_zip_is_not(tmp_path: Path) -> None:
    """The control of the test above."""
    (tmp_path / "x.zip").write_bytes(odd_zip(f"{PREFIX}a", f"{PREFIX}b"))
    assert gomod.hash_of_zip(tmp_path / "x.zip", PREFIX).startswith("h1:")


def test_a_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gomod, "MOST_ZIP_BYTES", 1)
    (tmp_path / "x.zip").write_bytes(odd_zip(f"{PREFIX}a", f"{PREFIX}b"))
    with pytest.raises(ValueError, match="more than 1 bytes unpacked"):
        gomod.hash_of_zip(tmp_path / "x.zip", PREFIX)
