"""The small stages: machine, Go sums, hosts, engines, records."""

import multiprocessing
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from imagebuild import buildx, catalog, engine, golang, machine, pins, plan, reach, record, render, unchanged
from imagebuild.errors import DriftError, EngineError, FetchError
from imagetest.plugin import ROOT

HERE = machine.Machine("x86_64", debian=True, root=True)
MADE = record.Record(
    variant="slim", supply="packages", versions={"gvisor": "1"}, key={"a": "1", "b": "2"}, digest="sha256:d", config_digest="sha256:c",
    size=1, engine_id="sha256:d", resolved=None, resolution=None, seconds=1.0, revision="r",
)  # fmt: skip


def test_an_amd64_debian_machine_is_accepted() -> None:
    assert machine.check(HERE, "packages", "slim") is None  # type: ignore[func-returns-value]


@pytest.mark.parametrize(
    ("fault", "supply", "way_out"),
    [
        (replace(HERE, architecture="aarch64"), "packages", "on an amd64 machine run: ./build.py --variant slim"),
        (replace(HERE, debian=False), "packages", "./build.py --variant slim --supply vendor"),
    ],
)
def test_a_machine_that_cannot_is_told_the_way_out(fault: machine.Machine, supply: pins.Supply, way_out: str) -> None:
    with pytest.raises(EngineError, match=way_out):
        machine.check(fault, supply, "slim")


def test_vendor_needs_no_debian() -> None:
    assert machine.check(replace(HERE, debian=False), "vendor", "slim") is None  # type: ignore[func-returns-value]


@pytest.mark.parametrize(
    ("fault", "way_out"), [(replace(HERE, root=False), "sudo ./build.py --variant slim"), (replace(HERE, debian=False), "--supply vendor")]
)
def test_an_engine_that_cannot_start(fault: machine.Machine, way_out: str) -> None:
    with pytest.raises(EngineError, match=way_out):
        machine.check_engine_can_start(fault, "slim")


def test_committed_sums_are_of_the_pins(pinned: pins.Pins, known: catalog.Catalog) -> None:
    assert golang.check(plan.make(pinned, known, "slim", "packages"), ROOT) is None  # type: ignore[func-returns-value]


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("go.mod", "gvisor.dev/gvisor v0.0.0-2026", "gvisor.dev/gvisor v0.0.0-2025"),
        ("go.sum", "gvisor.dev/gvisor v0.0.0-20260701204157-69c2d17aea96 h1:", "gvisor.dev/gvisor v0.0.0-2025 h1:"),
        ("go.mod", "go 1.26.11", "go 1.26.10"),
    ],
)
def test_a_stale_sum_names_file_and_command(file: str, old: str, new: str, copy: Path, pinned: pins.Pins, known: catalog.Catalog) -> None:
    path = copy / "images/components/gvisor" / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(DriftError, match=rf"images/components/gvisor/{file}:1:1: .*run: make lock"):
        golang.check(plan.make(pinned, known, "slim", "packages"), copy)


def test_missing_sums_are_stale(copy: Path, pinned: pins.Pins, known: catalog.Catalog) -> None:
    (copy / "images/components/gvisor/go.sum").unlink()
    with pytest.raises(DriftError, match=r"go\.sum"):
        golang.check(plan.make(pinned, known, "slim", "packages"), copy)


def test_vendor_asks_each_host_once(pinned: pins.Pins, known: catalog.Catalog) -> None:
    text = render.dockerfile(plan.make(pinned, known, "slim", "vendor"), ROOT)
    assert reach.addresses(text) == (
        "https://registry-1.docker.io/v2/",
        "https://auth.docker.io/token",
        "http://deb.debian.org/debian/",
        "https://storage.googleapis.com/gvisor/releases/release/20260622.0/x86_64/runsc",
    )


def test_packages_asks_no_host(pinned: pins.Pins, known: catalog.Catalog) -> None:
    assert reach.addresses(render.dockerfile(plan.make(pinned, known, "slim", "packages"), ROOT)) == ()


def test_a_silent_host_is_named_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "TIMEOUT_SECONDS", 1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        monkeypatch.setattr(reach, "addresses", lambda _: (f"https://127.0.0.1:{port}/runsc",))
        with pytest.raises(FetchError, match=rf"127\.0\.0\.1:{port} does not answer .*--supply packages"):
            reach.check("")


@pytest.mark.parametrize(
    ("version", "store", "words"),
    [
        ("20.10.24", "io.containerd.snapshotter.v1", "older than 0.13"),
        ("25.0.5", "io.containerd.snapshotter.v1", "older than 0.13"),
        ("28.2.2", "[['Backing Filesystem', 'extfs']]", "classic image store"),
    ],
)
def test_an_unusable_engine_gets_both_remedies(version: str, store: str, words: str) -> None:
    with pytest.raises(EngineError, match=rf"{words}.*containerd-snapshotter.*docker buildx create"):
        engine.check_store(version, store)


def test_a_usable_engine_passes() -> None:
    assert engine.check_store("26.1.5+dfsg1", "[['driver-type', 'io.containerd.snapshotter.v1']]") is None  # type: ignore[func-returns-value]


@pytest.mark.parametrize(("version", "passes"), [("v0.12.5", False), ("v0.13.0", True), ("v0.34.2", True)])
def test_builders_by_buildkit_version(version: str, passes: bool) -> None:
    inspected = f"Name: worker\nDriver: docker-container\nBuildKit version: {version}\n"
    if passes:
        assert engine.check_builder(inspected, "worker") is None  # type: ignore[func-returns-value]
        return
    with pytest.raises(EngineError, match=r"0\.13 is needed"):
        engine.check_builder(inspected, "worker")


def test_a_named_engine_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(EngineError, match="does not answer; start that engine, or unset DOCKER_HOST"):
        engine.find(engine.PrivateEngine(ROOT))


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=rf"{tmp_path}/out: .* GB free for images"):
        engine.check_space({"images": tmp_path / "out"}, 10**18)


def test_record_survives_the_disk(tmp_path: Path) -> None:
    MADE.write(tmp_path / "build.json")
    assert replace(record.Record.read(tmp_path / "build.json") or MADE, limits=()) == MADE
    assert [path.name for path in tmp_path.iterdir()] == ["build.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"variant": "slim"}', '{"new": 1}'])
def test_a_foreign_record_is_none(text: str, tmp_path: Path) -> None:
    path = tmp_path / "build.json"
    path.write_text(text)
    assert record.Record.read(path) is None


def test_why_it_builds() -> None:
    assert record.changed({"a": "1", "b": "2"}, MADE) == ()
    assert record.changed({"a": "1", "b": "3", "c": "4"}, MADE) == ("b", "c")
    assert record.changed({}, None) == ("no earlier build",)


def _hold(folder: Path, held: "multiprocessing.synchronize.Event", release: "multiprocessing.synchronize.Event") -> None:
    with record.exclusive(folder, lambda _: None):
        held.set()
        release.wait(30)


def test_a_second_build_waits_and_says_for_whom(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    held, release, said = fork.Event(), fork.Event(), list[str]()
    first = fork.Process(target=_hold, args=(tmp_path, held, release))
    first.start()
    assert held.wait(30)

    def tell(text: str) -> None:
        said.append(text)
        release.set()

    with record.exclusive(tmp_path, tell):
        first.join(30)
    assert said == [f"waiting: process {first.pid} builds in {tmp_path}"]


def test_a_killed_holder_frees_the_lock(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    held = fork.Event()
    first = fork.Process(target=_hold, args=(tmp_path, held, fork.Event()))
    first.start()
    assert held.wait(30)
    first.kill()
    first.join(30)
    said: list[str] = []
    with record.exclusive(tmp_path, said.append):
        assert said == []


def test_arguments_leave_secrets_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:hunter2@proxy")
    words = buildx.Job(Path("f"), Path("c"), "type=docker", 1, no_cache=True, target="t").arguments("b", Path("m"))
    assert "hunter2" not in " ".join(words)
    assert words[words.index("HTTPS_PROXY") - 1] == "--build-arg"
    assert {"--no-cache", "--provenance=false", "SOURCE_DATE_EPOCH=1"} <= set(words)
    assert words[-1] == "c"


def test_bake_names_the_same_inputs() -> None:
    target = buildx.Job(Path("f"), Path("c"), "type=docker", 1).bake("slim")["target"]
    assert target["slim"]["context"] == "c"  # type: ignore[index]
    assert target["slim"]["output"] == ["type=docker"]  # type: ignore[index]


class Engine:
    """A loopback engine that knows one image."""

    def __init__(self, path: Path, identity: str) -> None:
        self.path, self.identity = path, identity
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(str(path))
        self.server.listen()
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self) -> None:
        while True:
            channel, _ = self.server.accept()
            with channel:
                if not channel.recv(65536):
                    return
                body = f'{{"Id": "{self.identity}"}}'.encode()
                channel.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX) as last:
            last.connect(str(self.path))
        self.thread.join(10)
        self.server.close()


@pytest.fixture
def built(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A checkout whose slim image stands built, judged and tagged."""
    out = copy / "out" / "slim"
    out.mkdir(parents=True)
    (out / "image.tar").write_bytes(b"image")
    seen = unchanged.fingerprint(unchanged.sources(copy), None)
    replace(MADE, inputs=seen, archive=unchanged.stamp(out / "image.tar")).write(out / "build.json")
    served = Engine(tmp_path / "s.sock", MADE.engine_id)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/s.sock")
    yield copy
    served.close()


def test_nothing_changed(built: Path) -> None:
    found = unchanged.look(["--variant", "slim"], built)
    assert found
    assert found.digest == MADE.digest


@pytest.mark.parametrize(
    "path",
    [
        "versions.yaml",
        "images/slim/variant.yaml",
        "images/components/gvisor/go.mod",
        "images/components/gvisor/go.sum",
        "imagebuild/rootfs.py",
        "requirements.txt",
    ],
)
def test_any_changed_input_is_seen(path: str, built: Path) -> None:
    with (built / path).open("a") as file:
        file.write("\n")
    assert unchanged.look(["--variant", "slim"], built) is None


def test_another_archive_is_seen(built: Path) -> None:
    (built / "out/slim/image.tar").write_bytes(b"other image")
    assert unchanged.look(["--variant", "slim"], built) is None


@pytest.mark.parametrize("argv", [["--variant", "slim", "--no-cache"], ["--variant", "full"], ["--variant", "../x"], ["test"]])
def test_other_questions_are_not_answered_quickly(argv: list[str], built: Path) -> None:
    assert unchanged.look(argv, built) is None


def test_a_lost_or_moved_tag_is_seen(built: Path) -> None:
    path = built / "out/slim/build.json"
    path.write_text(path.read_text().replace('"engine_id": "sha256:d"', '"engine_id": "sha256:e"'))
    assert unchanged.look(["--variant", "slim"], built) is None


def test_a_dead_engine_is_seen(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{built}/none.sock")
    assert unchanged.look(["--variant", "slim"], built) is None
