"""Rules on the settings of a derived image, and on what its programs find through them."""

import posixpath
import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from worker_images.harness import loader_cache
from worker_images.harness.derived import Derivation, Fault
from worker_images.model.oci.image import Entry, Image, ImageError

# Of the loader, of programs of the worker image that load plugins, and of Go programs.
LOADER_VARIABLES = re.compile(
    r"LD_.*|GLIBC_TUNABLES|GCONV_PATH|(X|IP|IP6)TABLES_LIB_?DIR|(IP|TC)_LIB_DIR|CRIU_.*|GODEBUG"
)
# Plugins and settings that iptables, ip, tc and CRIU take without being named.
PLUGINS = re.compile(
    r"/usr/lib(/[^/]+-linux-gnu)?/(xtables|criu|ip|tc)(/.*)?|/etc/criu(/.*)?|.*/\.criu(/.*)?"
)
LIBCUDA = re.compile(r"lib(cuda|nvidia-ml)\.so(\.[0-9.]+)?")
LABEL = "worker."
# It marks images of old CUDA releases.
LEGACY = "CUDA_VERSION"
ALL_GPUS = (
    f"; nvidia-container-runtime gives all GPUs to an image with {LEGACY} and without"
    " NVIDIA_REQUIRE_CUDA"
)


def loader(found: Derivation) -> Iterator[Fault]:
    """Nothing changes what the worker image's programs load, or how Go programs run."""
    for name, value in found.variables:
        if LOADER_VARIABLES.fullmatch(name):
            why = ", which changes how runsc runs" if name == "GODEBUG" else ""
            yield Fault("loader", f"ENV {name}", f"set to {value!r}{why}")
    held: dict[str, set[str]] = {}
    for path in found.worker.merged:
        if ".so" in path:
            held.setdefault(path.rpartition("/")[2], set()).add(found.worker.resolve(path))
    for entry in found.added:
        name = entry.path.rpartition("/")[2]
        if entry.path == "/etc/ld.so.preload":
            yield Fault("loader", entry.path, "adds libraries to all programs")
        elif "/glibc-hwcaps/" in entry.path and name in held:
            yield Fault("loader", entry.path, f"the loader uses it, not the worker image's {name}")
        elif "/glibc-hwcaps/" in f"{entry.path}/" and found.is_link_to_folder(entry):
            yield Fault("loader", entry.path, f"a link to a folder of libraries, {entry.target}")
        elif PLUGINS.fullmatch(entry.path) and found.is_new(entry):
            yield Fault("loader", entry.path, "programs of the worker image load it")
    yield from _cache(found, held)


def _cache(found: Derivation, held: Mapping[str, set[str]]) -> Iterator[Fault]:
    entry = found.image.find(loader_cache.PATH)
    if not entry or entry.layer < len(found.worker.layers):
        return
    try:
        rows = loader_cache.read(found.read(entry), str(found.image.config["architecture"]))
    except (ImageError, KeyError) as error:
        yield Fault("loader", entry.path, str(error).removeprefix(f"{loader_cache.PATH}: "))
        return
    for name, path in sorted(rows):
        target = found.image.find(path)
        known = held.get(name, set()) | found.updated
        if name in held and not (target and target.path in known and found.is_trusted(target)):
            yield Fault("loader", entry.path, f"{name} is {path}, not the worker image's")
        elif LIBCUDA.fullmatch(name):
            yield Fault("loader", entry.path, f"{name} is {path}, want that of the node's driver")


def path(found: Derivation) -> Iterator[Fault]:
    """PATH finds the worker image's own programs first, and every folder before them is root's."""
    own = found.promise.environment["PATH"]
    own_programs = _programs(found.worker, own.split(":"))
    for value in [value for name, value in found.variables if name == "PATH"] or [own]:
        folders = value.split(":")
        if relative := [each for each in folders if not each.startswith("/")]:
            yield Fault("path", "ENV PATH", f"has entries that are not absolute: {relative}")
        hits = {name: _first(found.image, folders, name) for name in own_programs}
        if missing := [name for name, hit in hits.items() if not hit]:
            what = f"does not find {missing[0]} and {len(missing) - 1} other programs"
            yield Fault("path", "ENV PATH", f"{what} of the worker image")
        for name, hit in hits.items():
            # The rule "replaced" names a change of the program itself.
            if hit and hit.path not in {own_programs[name], *found.updated}:
                yield Fault("path", hit.path, f"PATH finds it as {name}")
        places = [found.image.resolve(posixpath.join("/", each)) for each in folders]
        last = max((n for n, place in enumerate(places) if place in own.split(":")), default=0)
        for place in places[:last]:
            if _is_open(found.image, place):
                yield Fault("path", "ENV PATH", f"every user may write to {place}, which is first")


def _programs(worker: Image, folders: list[str]) -> dict[str, str]:
    """The paths of the programs of the worker image to which PATH leads, by name."""
    places = [path.rpartition("/") for path in worker.merged]
    names = sorted({name for folder, _, name in places if folder in folders})
    hits = {name: _first(worker, folders, name) for name in names}
    return {name: hit.path for name, hit in hits.items() if hit}


def _first(image: Image, folders: list[str], program: str) -> Entry | None:
    for folder in folders:
        place = image.merged.get(
            posixpath.join(image.resolve(posixpath.join("/", folder)), program)
        )
        hit = image.find(place.path) if place else None
        if place and not hit:
            # A link to what another may create later.
            return place
        if hit and hit.kind != "folder" and (hit.kind == "hardlink" or hit.mode & 0o111):
            return hit
    return None


def _is_open(image: Image, folder: str) -> bool:
    """Whether every user may write to a folder, or create it."""
    path = PurePosixPath(folder)
    held = (image.merged.get(str(each)) for each in (path, *path.parents))
    nearest = next((entry for entry in held if entry), None)
    return bool(nearest and nearest.mode & 0o002)


def nvidia(found: Derivation) -> Iterator[Fault]:
    """CUDA_VERSION and the variables that begin with NVIDIA_ are those of the variant."""
    values: dict[str, set[str]] = {}
    expected = {
        name: value for name, value in found.promise.environment.items() if _is_nvidia(name)
    }
    for name, value in found.variables:
        if _is_nvidia(name):
            values.setdefault(name, set()).add(value)
    for name in sorted(values.keys() | expected.keys()):
        own = values.get(name, set())
        if own != ({expected[name]} if name in expected else set()):
            shown = " and ".join(map(repr, sorted(own))) or "not set"
            want = repr(expected[name]) if name in expected else "not set"
            why = ALL_GPUS if name == LEGACY else ""
            yield Fault("nvidia", f"ENV {name}", f"{shown}, want {want}{why}")


def _is_nvidia(name: str) -> bool:
    return name.startswith("NVIDIA_") or name == LEGACY


def label(found: Derivation) -> Iterator[Fault]:
    """The labels that begin with "worker." are all those of the worker image, or there are none."""
    own = {name: value for name, value in found.image.labels.items() if name.startswith(LABEL)}
    expected = found.promise.labels if own else {}
    for name in sorted(own.keys() | expected.keys()):
        if own.get(name) != expected.get(name):
            found_value, want = (
                repr(labels[name]) if name in labels else "not set" for labels in (own, expected)
            )
            yield Fault("label", f"LABEL {name}", f"{found_value}, want {want}")
