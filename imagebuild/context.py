"""The build context: root filesystem tars, Go sums and the Dockerfile, laid out in one folder."""

import fnmatch
import json
import shutil
import subprocess
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from drivercontract import contract
from imagebuild import debian, machine, render, rootfs, wheel
from imagebuild.engine import Endpoint, PrivateEngine, find
from imagebuild.errors import ClientError, EngineError, FetchError
from imagebuild.pins import DebianPin
from imagebuild.places import CACHE, swept, whole, write_whole
from imagebuild.plan import Plan
from imagebuild.record import exclusive, text_digest

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Root:
    """One root filesystem tar: the packages in it, without those of what lies below."""

    name: str
    packages: tuple[debian.Package, ...]

    @property
    def key(self) -> str:
        """A digest of the packages and of the program that merges them."""
        return text_digest("".join(package.sha256 for package in self.packages) + Path(rootfs.__file__).read_text())


@dataclass(frozen=True)
class Resolved:
    """What Debian's names meant, the file that keeps it, and the root that each root is unpacked on."""

    path: Path
    resolution: debian.Resolution
    below: Mapping[str, str]


def resolve(everything: Plan, root: Path, *, refresh: bool) -> Resolved | None:
    """What Debian's names mean, for all that can be built in one answer: variants stand on the same packages.

    None where the supply has images of its own.
    """
    if everything.supply != "packages":
        return None
    names = {"base": everything.base_packages}
    names["builder"] = (*names["base"], *everything.builder_packages)
    names["cgo"] = (*names["builder"], *everything.cgo_packages)
    below = {"builder": "base", "cgo": "builder"}
    for component in everything.components:
        below[component.name] = "cgo" if render.uses_cgo(everything, component, root) else "base"
        if extra := (*render.builder_packages(everything, component, root), *component.debian):
            names[component.name] = (*names[below[component.name]], *extra)
    return _resolve(everything.debian, names, below, refresh=refresh)


def roots(plan: Plan, resolved: Resolved | None) -> tuple[Root, ...]:
    """The tars of one plan, each without the packages that lie below it, builders also without what no build uses."""
    if resolved is None:
        return ()
    found, below = resolved.resolution.roots, resolved.below
    taken = {"base", *(["builder"] if plan.modules else []), *(name for c in plan.components for name in (c.name, below[c.name]))}
    rows = []
    for name in [name for name in found if name in taken]:
        without, unused = found.get(below.get(name, ""), ()), plan.unused_packages if name in {"builder", "cgo"} else ()
        wanted = [p for p in found[name] if p not in without and not any(fnmatch.fnmatchcase(p.name, pattern) for pattern in unused)]
        rows.append(Root(name, tuple(wanted)))
    return tuple(rows)


def _resolve(pin: DebianPin, names: Mapping[str, tuple[str, ...]], below: Mapping[str, str], *, refresh: bool) -> Resolved:
    """What the names meant when they were first asked for; asked anew on refresh."""
    question = json.dumps({"debian": pin.model_dump(), "names": names}, sort_keys=True)
    path = CACHE / "debian" / f"{'-'.join(sorted(names))}-{text_digest(question)[:16]}.json"
    if refresh or not path.exists():
        write_whole(swept(path.parent) / path.name, debian.resolve(pin, names).as_json())
    return Resolved(path, debian.Resolution.from_json(path.read_text()), below)


def _assemble(root: Root, destination: Path, epoch: int) -> None:
    files = debian.fetch(root.packages, CACHE / "debs")
    named = {package.name: file for package, file in zip(root.packages, files, strict=True)}
    swept(destination.parent)
    with whole(destination) as part:
        rootfs.assemble(named, part, epoch, base=root.name in {"base", "engine"})


def cleared(folder: Path) -> Path:
    """The folder, there and empty."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def lay_out(folder: Path, dockerfile: str, plan: Plan, rows: tuple[Root, ...], root: Path, tell: Tell) -> Path:
    """Put a plan's inputs into a context, which may hold another plan's, and return the Dockerfile's path."""
    tars = {each.name: CACHE / "roots" / f"{each.name}-{each.key[:16]}-{plan.epoch}.tar" for each in rows}
    absent = [each for each in rows if not tars[each.name].exists()]
    for each in absent:
        tell(f"assembling {each.name}.tar from {len(each.packages)} Debian packages")
    # Most of it is spent in other processes, which unpack.
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda each: _assemble(each, tars[each.name], plan.epoch), absent))
    for name, tar in tars.items():
        _place(tar, folder / f"{name}.tar")
    for component in plan.modules:
        target = folder / "components" / component.name
        target.mkdir(parents=True, exist_ok=True)
        for name in ("go.mod", "go.sum"):
            if (file := root / "images" / "components" / component.name / name).is_file():
                # A copy: an edit in place must not reach a build that has begun.
                shutil.copyfile(file, target / name)
    for name, text in contract.texts(root, plan.components).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    for source in plan.wheels:
        _place(wheel.fetch(source, CACHE / "wheels"), folder / "wheels" / wheel.file_name(source))
    path = folder / plan.variant / render.COMMITTED
    path.parent.mkdir()
    path.write_text(dockerfile)
    return path


def _place(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        try:
            target.hardlink_to(source)
        except OSError:
            shutil.copyfile(source, target)


def ensure_engine(root: Path, plan: Plan, builder: str | None, tell: Tell) -> Endpoint:
    """The engine that answers, or a private one started here; raises EngineError."""
    private = PrivateEngine(root)
    try:
        found = find(private, builder)
    except ClientError:
        _make_root(private, plan, tell)
        found = find(private, builder)
    if found is not None:
        return found
    machine.check_engine_can_start(machine.Machine.here(), plan.variant)
    _make_root(private, plan, tell)
    tell("engine: starting")
    private.run("start")
    return find(private, builder) or private.endpoint(builder)


def _make_root(private: PrivateEngine, plan: Plan, tell: Tell) -> None:
    """The private engine's root filesystem, with its clients, where there is none."""
    with exclusive(private.state, tell):
        if not (private.root / "usr" / "sbin" / "dockerd").exists():
            tell("engine: making its root filesystem from Debian packages")
            archive, fresh = private.state / "root.tar", private.state / "root.part"
            try:
                _assemble_engine(plan, archive, refresh=False)
            except FetchError:
                # Debian replaced a package since it was resolved; nobody has chosen these, so today's serve as well.
                _assemble_engine(plan, archive, refresh=True)
            command = ["tar", "--extract", "--file", str(archive), "--directory", str(cleared(fresh))]
            result = subprocess.run(command, capture_output=True, text=True, check=False)
            if result.returncode:
                raise EngineError(f"unpacking {archive}: {result.stderr.strip()}; free some space there and run again")
            archive.unlink()
            shutil.rmtree(private.root, ignore_errors=True)
            fresh.rename(private.root)
        private.write_client()


def _assemble_engine(plan: Plan, archive: Path, *, refresh: bool) -> None:
    found = _resolve(plan.debian, {"engine": plan.engine_packages}, {}, refresh=refresh)
    _assemble(Root("engine", found.resolution.roots["engine"]), archive, plan.epoch)
