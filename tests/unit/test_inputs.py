"""The lock, what it is held against, and the stores that builds take from."""

import hashlib
import io
import json
import re
import subprocess
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit import faulty
from tests.unit.faulty import Server
from worker_images.build import gotoolchain, plan, render, requirements, resolve
from worker_images.errors import DriftError, EngineError, FetchError, ImageBuildError
from worker_images.fetch import apt, gomod, http, session, store
from worker_images.fetch.gomod import File
from worker_images.fetch.store import Store
from worker_images.files import ROOT
from worker_images.model import catalog, lock, pins, project
from worker_images.model.lock import Lock, Package

COMMITTED = ROOT / "versions.lock"
GVISOR = "images/components/gvisor"


@pytest.fixture
def loaded(copy: Path) -> Callable[[], Lock]:
    """Read the lock of a copied checkout against its pins."""

    def load() -> Lock:
        pinned, known = project.load(copy, copy / "versions.yaml")
        return requirements.load(copy / "versions.yaml", pinned, known, copy)

    return load


def replaced(path: Path, old: str, new: str) -> None:
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def test_the_committed_lock_is_of_the_pins(loaded: Callable[[], Lock]) -> None:
    """The control of the tests below."""
    assert loaded().toolchain.sum.startswith("h1:")


def test_the_lock_survives_its_text(tmp_path: Path) -> None:
    found = Lock.read(COMMITTED)
    (tmp_path / "versions.lock").write_text(found.as_text())
    assert Lock.read(tmp_path / "versions.lock") == found
    assert COMMITTED.read_text() == found.as_text()


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        (
            "versions.yaml",
            "20260701204157-69c2d17aea96",
            "20260518063529-209a0ce076a1",
            (
                "versions.lock: modules.gvisor: locked for v0.0.0-20260701204157-69c2d17aea96,"
                " asked for v0.0.0-20260518063529-209a0ce076a1"
            ),
        ),
        (
            "versions.yaml",
            "1.26.11",
            "1.26.10",
            "versions.lock: go.toolchain: locked for 1.26.11, asked for 1.26.10",
        ),
        (
            "versions.yaml",
            'version: "12.8.57"',
            'version: "12.8.90"',
            "versions.lock: wheels.cuda-runtime: locked for 12.8.57",
        ),
        (
            "versions.yaml",
            "599f6f94",
            "699f6f94",
            "published.https://github.com/opencontainers/runc/releases/download/v1.5.2/runc.amd64",
        ),
        (
            "images/base/packages.yaml",
            "  tini:",
            '  tmux: "a terminal"\n  tini:',
            "packages.amd64.base: locked for less, asked for tmux",
        ),
        (
            "images/base/packages.yaml",
            '  tini: "reaps processes as PID 1"\n',
            "",
            "packages.arm64.base: locked for tini, asked for less",
        ),
        (
            f"{GVISOR}/go.mod",
            "go 1.26.11",
            "go 1.26.10",
            f"{GVISOR}/go.mod:1:1: not the file that versions.lock names",
        ),
        (
            f"{GVISOR}/go.sum",
            "h1:",
            "h1:A",
            f"{GVISOR}/go.sum:1:1: not the file that versions.lock names",
        ),
    ],
)
def test_what_changed_is_named(
    file: str, old: str, new: str, told: str, copy: Path, loaded: Callable[[], Lock]
) -> None:
    replaced(copy / file, old, new)
    with pytest.raises(DriftError, match="run: make lock") as error:
        loaded()
    assert told in str(error.value)
    assert error.value.exit_code == 2


def test_all_that_changed_is_named_at_once(copy: Path, loaded: Callable[[], Lock]) -> None:
    replaced(copy / "versions.yaml", "1.26.11", "1.26.10")
    (copy / GVISOR / "go.sum").unlink()
    with pytest.raises(DriftError) as error:
        loaded()
    assert len(str(error.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (r'^    \{"name": "tini".*\n', "", "packages.amd64.holds.base: no package tini"),
        (
            r'"holds": \{\n    "base": \[[^\]]*\]',
            '"holds": {\n    "base": []',
            "packages.amd64.holds.base: no package base-files",
        ),
        (
            r'"url": "http://deb.debian.org/debian/pool/main/t/tini',
            '"url": "http://evil.example/debian/pool/main/t/tini',
            "is not below http://deb",
        ),
        (
            r'"url": "http://deb.debian.org/debian/pool/main/t/tini',
            '"url": "file:///etc/shadow',
            "is not below http://deb",
        ),
        (
            r'("name": "tini".*?"sha256": ")[0-9a-f]{64}',
            r"\1../../x",
            "files.tini: no name, digest and size of one package",
        ),
        (
            r'("name": "tini".*?"size": )[0-9]+',
            r'\1"9"',
            "files.tini: no name, digest and size of one package",
        ),
        (r'"name": "tini"', '"name": "../../tini"', "files.../../tini: no name, digest and size"),
        (r'"sum": "h1:KyINm[^"]*"', '"sum": "h1:AAAA"', "toolchain: no sum or size of a Go module"),
        (r'"resolved": "[^"]*"', '"resolved": "soon"', "debian.resolved: no time"),
        (
            r'("cuda-runtime": .*"sha256": ")[0-9a-f]',
            r"\1g",
            "wheels.cuda-runtime: no version, digest and size",
        ),
        (r'"digest": "sha256:d7', '"digest": "md5:d7', "published.debian:trixie-slim: no digest"),
        (r'^ "toolchain": .*\n', r"\g<0>\g<0>", "a key is written twice"),
    ],
)
def test_a_row_that_cannot_be_is_named(
    old: str, new: str, told: str, copy: Path, loaded: Callable[[], Lock]
) -> None:
    path = copy / "versions.lock"
    text, count = re.subn(old, new, path.read_text(), count=1, flags=re.MULTILINE)
    assert count == 1
    path.write_text(text)
    with pytest.raises(DriftError) as error:
        loaded()
    assert told in str(error.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"debian": {}}', '{"debian": 1}'])
def test_what_is_no_lock_is_told(text: str, copy: Path, loaded: Callable[[], Lock]) -> None:
    (copy / "versions.lock").write_text(text)
    with pytest.raises(
        DriftError, match=r"versions\.lock:\d+:1: not a lock of this version .*run: make lock"
    ):
        loaded()


def test_a_missing_lock_is_told(copy: Path, loaded: Callable[[], Lock]) -> None:
    (copy / "versions.lock").unlink()
    with pytest.raises(
        DriftError,
        match=r"versions\.lock:1:1: cannot be read \(No such file or directory\); run: make lock",
    ):
        loaded()


def test_other_pins_have_a_lock_of_their_own() -> None:
    assert lock.lock_of(Path("/x/mine.yaml")) == Path("/x/mine.lock")


def test_every_step_of_a_packages_build_is_without_a_network(
    pinned: pins.Pins, known: catalog.Catalog
) -> None:
    for name in known.buildable:
        steps = [
            line
            for line in render.dockerfile(
                plan.make(pinned, known, name, "packages"), ROOT
            ).splitlines()
            if line.startswith("RUN")
        ]
        assert steps
        assert not [line for line in steps if not line.startswith("RUN --network=none ")]


def test_every_file_that_a_stage_adds_is_the_locks(
    pinned: pins.Pins, known: catalog.Catalog
) -> None:
    """Nothing is fetched by an instruction."""
    for name in known.buildable:
        text = render.dockerfile(plan.make(pinned, known, name, "packages"), ROOT)
        assert "http" not in text
        assert "ADD base.tar /" in text


PREFIX = "a.org/b@v1.0.0/"


def zipped(**files: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(f"{PREFIX}{name}", content)
    return stream.getvalue()


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
        http.have(file.wanted(gomod.proxies()), tmp_path / "file")


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


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(http, "PAUSE_SECONDS", 0.0)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with faulty.running() as found:
        monkeypatch.setenv("GOPROXY", found.address)
        yield found


RIGHT, WRONG = zipped(a=b"right"), zipped(a=b"wrong")


def module(content: bytes = b"right") -> File:
    return File("a.org/b", "v1.0.0", gomod.hash1([(f"{PREFIX}a", content)]))


def test_a_module_is_had(proxy: Server, tmp_path: Path) -> None:
    """The control of the tests below."""
    proxy.serves["/a.org/b/@v/v1.0.0.zip"] = RIGHT
    assert Store(tmp_path).modules([module()])[0].read_bytes() == RIGHT


@pytest.mark.parametrize("body", [WRONG, RIGHT[:-9], b"<html>", b""])
def test_a_wrong_module_is_refused_and_the_next_run_heals(
    body: bytes, proxy: Server, tmp_path: Path
) -> None:
    proxy.serves["/a.org/b/@v/v1.0.0.zip"] = body
    with pytest.raises(
        FetchError, match=r"Go module a\.org/b v1\.0\.0: .*want h1:.*these are not the pinned bytes"
    ):
        Store(tmp_path).modules([module()])
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    proxy.serves["/a.org/b/@v/v1.0.0.zip"] = RIGHT
    assert Store(tmp_path).modules([module()])[0].read_bytes() == RIGHT


def test_a_sum_beside_the_file_is_not_believed(proxy: Server, tmp_path: Path) -> None:
    """File and checksum swapped together, on the proxy's side: go.sum is ours, the .ziphash is not
    asked for.
    """
    proxy.serves |= {
        "/a.org/b/@v/v1.0.0.zip": WRONG,
        "/a.org/b/@v/v1.0.0.ziphash": module(b"wrong").sum.encode(),
    }
    with pytest.raises(FetchError, match=module().sum.replace("+", r"\+")):
        Store(tmp_path).modules([module()])
    assert {path.rpartition(".")[2] for path in proxy.asked} == {"zip"}


@pytest.fixture
def filled(proxy: Server, tmp_path: Path) -> Path:
    """A folder that holds a package and a module, as `build.py fetch` lays them out."""
    proxy.serves["/a.org/b/@v/v1.0.0.zip"] = RIGHT
    source, folder = Store(tmp_path / "cache"), tmp_path / "media"
    pinned, _ = pins.load(ROOT / "versions.yaml")
    (deb,) = source.debs([package(proxy)], pinned.debian, "2026-11-25T00:00:00Z")
    (zip_file,) = source.modules([module()])
    store.copied(source, deb, apt.wanted(package(proxy)).fault, folder)
    store.copied(source, zip_file, module().fault, folder)
    proxy.asked.clear()
    return folder


def package(server: Server) -> Package:
    return Package(
        "tini",
        "1",
        f"{server.address}/tini.deb",
        len(faulty.CONTENT),
        hashlib.sha256(faulty.CONTENT).hexdigest(),
    )


def test_a_filled_folder_replaces_the_network(
    filled: Path, proxy: Server, tmp_path: Path, pinned: pins.Pins
) -> None:
    offline = Store(tmp_path / "other", source=filled)
    assert (
        offline.debs([package(proxy)], pinned.debian, "2026-11-25T00:00:00Z")[0].read_bytes()
        == faulty.CONTENT
    )
    assert offline.modules([module()])[0].read_bytes() == RIGHT
    assert proxy.asked == []


@pytest.mark.parametrize("spoiled", [b"", b"x"])
def test_a_spoiled_folder_is_refused(
    spoiled: bytes, filled: Path, proxy: Server, tmp_path: Path, pinned: pins.Pins
) -> None:
    for path in filled.rglob("*.deb"):
        path.write_bytes(spoiled) if spoiled else path.unlink()
    with pytest.raises(
        FetchError,
        match=(
            r"tini 1: .*fill the folder where there is a network: \./build\.py fetch --into"
            rf" {filled}"
        ),
    ):
        Store(tmp_path / "other", source=filled).debs(
            [package(proxy)], pinned.debian, "2026-11-25T00:00:00Z"
        )
    assert proxy.asked == []


def test_what_a_mirror_replaced_is_asked_of_the_snapshots(pinned: pins.Pins) -> None:
    time, path = "2026-11-25T00:21:46Z", "pool/main/t/tini/tini_1.deb"
    asked = {
        address: store.snapshots(f"{address}/{path}", pinned.debian, time)
        for address in (pinned.debian.mirror, pinned.debian.security)
    }
    archive = "https://snapshot.debian.org/archive"
    assert asked == {
        pinned.debian.mirror: (f"{archive}/debian/20261125T002146Z/{path}",),
        pinned.debian.security: (f"{archive}/debian-security/20261125T002146Z/{path}",),
    }
    assert store.snapshots("http://elsewhere.org/x.deb", pinned.debian, time) == ()


def test_a_replaced_package_comes_from_the_snapshots(
    proxy: Server, tmp_path: Path, pinned: pins.Pins
) -> None:
    pin = pinned.debian.model_copy(
        update={"mirror": f"{proxy.address}/debian", "snapshot": f"{proxy.address}/archive"}
    )
    wanted = replace(package(proxy), url=f"{pin.mirror}/tini.deb")
    proxy.faults = ["404"]
    assert (
        Store(tmp_path).debs([wanted], pin, "2026-11-25T00:21:46Z")[0].read_bytes()
        == faulty.CONTENT
    )
    assert proxy.asked == ["/debian/tini.deb", "/archive/debian/20261125T002146Z/tini.deb"]


def test_reading_the_lock_again_gives_its_date(tmp_path: Path) -> None:
    """Packages that are the same keep their day, so that a lock written twice is the same text."""
    path = tmp_path / "versions.lock"
    path.write_text(COMMITTED.read_text())
    found = Lock.read(path)
    assert resolve.date_of(path, found.packages) == found.debian.resolved
    other = {
        **found.packages,
        "amd64": replace(found.packages["amd64"], files=found.packages["amd64"].files[1:]),
    }
    assert resolve.date_of(path, other) != found.debian.resolved


def test_the_command_says_what_is_stale(copy: Path) -> None:
    (copy / ".venv").symlink_to(ROOT / ".venv")
    replaced(copy / "versions.yaml", "1.26.11", "1.26.10")
    found = subprocess.run(
        [ROOT / ".venv/bin/python", copy / "build.py", "--variant", "slim"],
        capture_output=True,
        text=True,
        check=False,
        cwd=copy,
    )
    assert found.returncode == 2
    assert (
        "versions.lock: go.toolchain: locked for 1.26.11, asked for 1.26.10; run: make lock"
        in found.stderr
    )


def test_lock_rows_stand_on_lines_of_their_own() -> None:
    """A review reads what changed, a line each."""
    data = json.loads(COMMITTED.read_text())
    lines = COMMITTED.read_text().splitlines()
    for roots in data["packages"].values():
        for row in roots["files"]:
            assert any(line.strip().rstrip(",") == json.dumps(row) for line in lines), row["name"]


def test_what_a_new_lock_changes_is_told_by_package(tmp_path: Path) -> None:
    found = Lock.read(COMMITTED)
    roots = found.packages["amd64"]
    first, second, *others = roots.files
    other = replace(
        found,
        packages={
            **found.packages,
            "amd64": replace(roots, files=(replace(first, version="99"), *others)),
        },
    )
    assert list(lock.changes(COMMITTED, found.as_text())) == []
    assert list(lock.changes(COMMITTED, other.as_text())) == [
        f"  amd64: {first.name}: {first.version} -> 99",
        f"  amd64: {second.name}: {second.version} -> gone",
    ]
    assert list(lock.changes(tmp_path / "none.lock", found.as_text())) == []


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


def test_a_damaged_zip_in_the_store_is_fetched_again(proxy: Server, tmp_path: Path) -> None:
    """Wherever the damage is: each byte, one after the other."""
    proxy.serves["/a.org/b/@v/v1.0.0.zip"] = RIGHT
    (path,) = Store(tmp_path).modules([module()])
    for position in range(len(RIGHT)):
        path.write_bytes(RIGHT[:position] + bytes([RIGHT[position] ^ 0xFF]) + RIGHT[position + 1 :])
        assert gomod.hash_of_zip(Store(tmp_path).modules([module()])[0], PREFIX) == module().sum


def test_a_proxys_password_is_sent_and_never_shown(
    proxy: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = proxy.address.replace("http://", "http://me:s%65cret@")
    monkeypatch.setenv("GOPROXY", address)
    proxy.faults = ["404"]
    with pytest.raises(FetchError) as told:
        Store(tmp_path).modules([module()])
    assert proxy.passwords == ["Basic bWU6c2VjcmV0"]
    assert "cret" not in str(told.value)


def test_proxys_password_is_not_sent_to_another_host(
    proxy: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A redirect that the reader allows; on the same host the password is sent again."""
    monkeypatch.setenv("GOPROXY", proxy.address.replace("http://", "http://me:secret@"))
    monkeypatch.setenv(session.REDIRECT_HOSTS, "localhost")
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    proxy.serves |= dict.fromkeys(("/x", "/y"), RIGHT)
    other = proxy.address.replace("127.0.0.1", "localhost")
    proxy.faults = ["to /x", f"to {other}/y"]
    assert Store(tmp_path).modules([module()])[0].read_bytes() == RIGHT
    assert proxy.passwords == ["Basic bWU6c2VjcmV0", "Basic bWU6c2VjcmV0", None]


def test_without_a_checksum_database_no_lock_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOSUMDB", "off")
    with pytest.raises(FetchError, match="nobody would vouch"):
        resolve.write(ROOT / "versions.yaml", ROOT, print)


def test_what_lays_out_the_compiler_is_an_input(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = gotoolchain.key("h1:x")
    other = tmp_path / "compiler.py"
    other.write_text(Path(gotoolchain.__file__).read_text() + "\n")
    monkeypatch.setattr(gotoolchain, "__file__", str(other))
    assert gotoolchain.key("h1:x") != before


@pytest.mark.parametrize(
    ("said", "kind", "step"),
    [
        (
            (
                "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on"
                " device"
            ),
            EngineError,
            "; free some space in ",
        ),
        (
            "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.",
            FetchError,
            "; these are not the pinned bytes",
        ),
        (
            "ERROR: No matching distribution found for x",
            FetchError,
            "; check the network and PIP_INDEX_URL, then run again",
        ),
    ],
)
def test_advice_is_of_what_pip_said(said: str, kind: type[ImageBuildError], step: str) -> None:
    """The first of its words that is an error, and the next step."""
    found = store.pip_failure("x 1", f"WARNING: a\n{said}\nERROR: b\n")
    assert type(found) is kind
    assert str(found).startswith(f"fetching x 1: {said}{step}")
