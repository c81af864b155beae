"""Pins to a judged, tagged image: the stages in order, with the effects that belong to each."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from imagebuild import buildx, catalog, debian, golang, machine, pins, plan, reach, record, render, rootfs
from imagebuild.engine import Endpoint, Images, PrivateEngine, check_space, find, state_folder
from imagebuild.errors import JudgeError, UsageError

NEEDED_BYTES = 4 * 10**9
ENGINE_PACKAGES = (
    "base-files", "base-passwd", "ca-certificates", "containerd", "coreutils", "dash", "docker-buildx", "docker-cli", "docker.io",
    "grep", "iproute2", "iptables", "libc-bin", "mount", "runc",
)  # fmt: skip
OUTPUT = "type=docker,dest={},rewrite-timestamp=true,oci-mediatypes=true"

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Request:
    """What the command line asks for."""

    variant: str
    versions: Path
    supply: pins.Supply | None = None
    builder: str | None = None
    tag: str | None = None
    refresh: bool = False
    no_cache: bool = False
    judge: bool = True


@dataclass(frozen=True)
class Outcome:
    """What a build came to."""

    record: record.Record
    tag: str | None
    built: bool
    limits: tuple[str, ...]
    seconds: float


def load(root: Path, versions: Path) -> tuple[pins.Pins, catalog.Catalog]:
    """Read pins and catalogue and hold them against each other; raises DocumentError."""
    name = str(versions.relative_to(root)) if versions.is_relative_to(root) else str(versions)
    pinned, document = pins.load(versions, name)
    known = catalog.load(root)
    catalog.check(pinned, document, known, root)
    return pinned, known


def make_plan(request: Request, root: Path) -> plan.Plan:
    """The plan of a request; raises UsageError and its kin."""
    return plan.make(*load(root, request.versions), request.variant, request.supply)


def run(request: Request, root: Path, tell: Tell) -> Outcome:
    """Build what changed, judge what was not judged, tag last."""
    begun = time.monotonic()
    planned = make_plan(request, root)
    here = machine.Machine.here()
    machine.check(here, planned.supply, request.variant)
    if planned.missing:
        raise UsageError(f"variant {planned.variant} cannot be built yet: no images/components/ folder for {', '.join(planned.missing)}")
    text = render.dockerfile(planned, root)
    golang.check(planned, root)
    out = root / "out" / planned.variant
    check_space({"images": out, "the engine": state_folder()}, NEEDED_BYTES)
    if planned.supply == "vendor":
        reach.check(text)
    private = PrivateEngine(root)
    endpoint = find(private, request.builder) or _start(private, here, request, tell, planned)
    with record.exclusive(out, tell):
        made, built = _image(request, planned, text, root, endpoint, tell)
        tag = _judged(request, made, root, endpoint, tell)
        done = record.Record.read(out / "build.json") or made
    return Outcome(done, tag, built, render.limits(planned, root), time.monotonic() - begun)


def _start(private: PrivateEngine, here: machine.Machine, request: Request, tell: Tell, planned: plan.Plan) -> Endpoint:
    machine.check_engine_can_start(here, request.variant)
    start_engine(private, planned.debian, planned.epoch, tell)
    return private.endpoint(request.builder)


def start_engine(private: PrivateEngine, pin: pins.DebianPin, epoch: int, tell: Tell) -> None:
    """Make the private engine's root filesystem if there is none, and start it."""
    if not (private.root / "usr" / "sbin" / "dockerd").exists():
        tell("engine: none answers; making a private one from Debian packages")
        found = _resolve(pin, {"engine": ENGINE_PACKAGES}, refresh=False)
        archive = private.state / "root.tar"
        _assemble(found.roots["engine"], archive, epoch, base=True)
        fresh = private.state / "root.part"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        subprocess.run(["tar", "--extract", "--file", str(archive), "--directory", str(fresh)], check=True)
        archive.unlink()
        shutil.rmtree(private.root, ignore_errors=True)
        fresh.rename(private.root)
    private.write_client()
    tell("engine: starting")
    private.run("start")


def _resolve(pin: pins.DebianPin, names: Mapping[str, tuple[str, ...]], *, refresh: bool) -> debian.Resolution:
    """What the names meant when they were first asked for; asked anew on refresh."""
    question = json.dumps({"debian": pin.model_dump(), "names": names}, sort_keys=True)
    path = state_folder() / "debian" / f"{'-'.join(sorted(names))}-{record.text_digest(question)[:16]}.json"
    if path.exists() and not refresh:
        return debian.Resolution.from_json(path.read_text())
    found = debian.resolve(pin, names)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(found.as_json())
    part.replace(path)
    return found


def _assemble(packages: tuple[debian.Package, ...], destination: Path, epoch: int, *, base: bool) -> None:
    files = debian.fetch(packages, state_folder() / "debs")
    part = destination.with_name(f".{destination.name}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    rootfs.assemble({package.name: file for package, file in zip(packages, files, strict=True)}, part, epoch, base=base)
    part.replace(destination)


@dataclass(frozen=True)
class _Root:
    """One root filesystem tar of the build context."""

    name: str
    packages: tuple[debian.Package, ...]
    base: bool

    @property
    def key(self) -> str:
        """A digest of the packages and of the program that merges them."""
        return record.text_digest("".join(package.sha256 for package in self.packages) + Path(rootfs.__file__).read_text())


def _roots(planned: plan.Plan, root: Path, *, refresh: bool) -> tuple[tuple[_Root, ...], str | None]:
    """The tars that a packages build adds, each without what lies below it, and the day of their resolution."""
    if planned.supply != "packages":
        return (), None
    names = {"base": planned.base_packages}
    if planned.modules:
        names["builder"] = (*planned.base_packages, *planned.builder_packages)
    for component in planned.components:
        if extra := render.builder_packages(planned, component, root):
            names[component.name] = (*planned.base_packages, *extra)
    found = _resolve(planned.debian, names, refresh=refresh)
    base = set(found.roots["base"])
    rows = (_Root(name, tuple(p for p in rows if name == "base" or p not in base), name == "base") for name, rows in found.roots.items())
    return tuple(rows), found.date


def _context(planned: plan.Plan, text: str, roots: tuple[_Root, ...], root: Path, tell: Tell) -> Path:
    """Lay out the build context: the Dockerfile, the root tars and the components' Go sums, nothing else."""
    context = root / "out" / planned.variant / "context"
    shutil.rmtree(context, ignore_errors=True)
    context.mkdir(parents=True)
    for each in roots:
        tar = state_folder() / "roots" / f"{each.name}-{each.key[:16]}-{planned.epoch}.tar"
        if not tar.exists():
            tell(f"assembling {each.name}.tar from {len(each.packages)} Debian packages")
            _assemble(each.packages, tar, planned.epoch, base=each.base)
        _place(tar, context / f"{each.name}.tar")
    for component in planned.modules:
        for name in ("go.mod", "go.sum"):
            target = context / "components" / component.name / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / "images" / "components" / component.name / name, target)
    (context / render.COMMITTED).write_text(text)
    return context


def _place(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, target)


def _image(
    request: Request, planned: plan.Plan, text: str, root: Path, endpoint: Endpoint, tell: Tell
) -> tuple[record.Record, bool]:
    """The image of this plan in the engine: the recorded one when no input changed, else a new build."""
    out = root / "out" / planned.variant
    roots, resolved = _roots(planned, root, refresh=request.refresh)
    key = {"Dockerfile": record.text_digest(text), "epoch": str(planned.epoch)}
    key |= {f"{each.name} packages": each.key for each in roots}
    key |= {f"{c.name} go.sum": record.text_digest((root / "images" / "components" / c.name / "go.sum").read_text()) for c in planned.modules}
    earlier = record.Record.read(out / "build.json")
    reasons = record.changed(key, earlier)
    if earlier and not reasons and not request.no_cache:
        if record.is_of(out / "image.tar", earlier) and Images(endpoint).holds(earlier.engine_id):
            tell(f"nothing to build: no input changed and the engine holds {earlier.digest}")
            return replace(earlier, resolved=resolved), False
        reasons = ("the built image is gone",)
    tell(f"building {planned.variant}: {', '.join(reasons or ('--no-cache',))}")
    return _build(request, planned, key, resolved, _context(planned, text, roots, root, tell), endpoint), True


def _build(
    request: Request, planned: plan.Plan, key: Mapping[str, str], resolved: str | None, context: Path, endpoint: Endpoint
) -> record.Record:
    out, begun = context.parent, time.monotonic()
    part = out / ".image.tar.part"
    job = buildx.Job(context / render.COMMITTED, context, OUTPUT.format(part), planned.epoch, no_cache=request.no_cache)
    with _gone_on_failure(part):
        buildx.build(endpoint, job, out / "build.log")
        digest, config, size = record.manifest(part)
        identity = Images(endpoint).load(part)
        part.replace(out / "candidate.tar")
    return record.Record(
        variant=planned.variant, supply=planned.supply, versions={c.name: c.stamp for c in planned.components}, key=key, digest=digest, config_digest=config, size=size,
        engine_id=identity, resolved=resolved, seconds=round(time.monotonic() - begun, 1), revision=_revision(context), judged=None,
    )  # fmt: skip


@contextlib.contextmanager
def _gone_on_failure(path: Path) -> Iterator[None]:
    path.unlink(missing_ok=True)
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _revision(folder: Path) -> str:
    result = subprocess.run(["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40"], capture_output=True, text=True, check=False)
    return result.stdout.strip()


def _judged(request: Request, made: record.Record, root: Path, endpoint: Endpoint, tell: Tell) -> str | None:
    """Judge the image unless this judge passed it already; then, and only then, record and tag it."""
    out = root / "out" / made.variant
    candidate, accepted = out / "candidate.tar", out / "image.tar"
    law = record.tree_digest(_judge_files(root), root)
    if not request.judge:
        tell(f"not judged, so not tagged: {candidate if candidate.exists() else accepted}")
        return None
    if made.judged != law:
        archive = candidate if candidate.exists() else accepted
        _judge(request, made, archive, root, endpoint, tell)
        if archive == candidate:
            candidate.replace(accepted)
    replace(made, judged=law).write(out / "build.json")
    tag = request.tag or f"worker:{made.variant}"
    Images(endpoint).tag(made.engine_id, tag)
    return tag


def _judge_files(root: Path) -> Iterator[Path]:
    for pattern in ("imagetest/*.py", "tests/image/*.py", "images/**/expect.yaml", "images/components/*/*.json", "versions.yaml"):
        yield from root.glob(pattern)


def _judge(request: Request, made: record.Record, archive: Path, root: Path, endpoint: Endpoint, tell: Tell) -> None:
    tell(f"judging {made.digest}")
    command = [
        sys.executable, "-m", "pytest", "-q", "tests/image", "--variant", made.variant, "--supply", made.supply, "--image", str(archive),
        "--versions", str(request.versions), "--junit-xml", str(archive.parent / "judge.xml"),
    ]  # fmt: skip
    log = archive.parent / "judge.log"
    with log.open("wb") as file:
        result = subprocess.run(command, cwd=root, env=endpoint.environment, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, check=False)
    said = log.read_text(errors="replace")
    if result.returncode:
        sys.stderr.write(said)
        raise JudgeError(f"judging {made.variant}: the image failed and was not tagged; it is kept at {archive}; what the judge said: {log}")
    tell(f"judged: {said.strip().splitlines()[-1].strip('= ')}")


def lock(request: Request, root: Path, tell: Tell) -> tuple[Path, ...]:
    """Write go.mod and go.sum of each Go component, resolved in the builder; returns the files."""
    pinned, known = load(root, request.versions)
    here = machine.Machine.here()
    everything = replace(plan.make(pinned, known, request.variant, "packages"), variant="lock")
    machine.check(here, "packages", request.variant)
    private = PrivateEngine(root)
    endpoint = find(private, request.builder) or _start(private, here, request, tell, everything)
    roots, _ = _roots(everything, root, refresh=request.refresh)
    with record.exclusive(root / "out" / "lock", tell):
        bare = replace(everything, components=())
        context = _context(bare, render.lockfile_builder(everything, root), roots, root, tell)
        found = context.parent / "found"
        shutil.rmtree(found, ignore_errors=True)
        buildx.build(endpoint, buildx.Job(context / render.COMMITTED, context, f"type=local,dest={found}", everything.epoch, "lock"), context.parent / "build.log")
        return tuple(_install(file, root / "images" / "components" / file.relative_to(found)) for file in sorted(found.glob("*/go.*")))


def _install(source: Path, target: Path) -> Path:
    part = target.with_name(f".{target.name}.part")
    shutil.copyfile(source, part)
    part.replace(target)
    return target


def generated(root: Path) -> dict[Path, str]:
    """Every committed file that a program writes, with the text it must have."""
    pinned, known = load(root, root / "versions.yaml")
    files = {root / "images" / name / render.COMMITTED: render.dockerfile(plan.make(pinned, known, name), root) for name in known.buildable}
    return {root / "versions.schema.json": pins.json_schema(), **files}
