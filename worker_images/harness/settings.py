"""Rules on the settings of a derived image, and on what its programs find through them."""

import posixpath
import re
from collections.abc import Iterator

from worker_images.harness import loader_cache
from worker_images.harness.derived import Derivation, Fault
from worker_images.model.oci.image import Entry, Image, ImageError

LOADER_VARIABLES = re.compile(r"LD_.*|GLIBC_TUNABLES")
LABEL = "worker."


def loader(found: Derivation) -> Iterator[Fault]:
    """Nothing makes the dynamic loader use other libraries in place of the worker image's."""
    for name, value in found.variables:
        if LOADER_VARIABLES.fullmatch(name):
            yield Fault("loader", f"ENV {name}", f"set to {value!r}")
    held = {path.rpartition("/")[2] for path in found.worker.merged if ".so" in path}
    for entry in found.added:
        name = entry.path.rpartition("/")[2]
        if entry.path == "/etc/ld.so.preload":
            yield Fault("loader", entry.path, "adds libraries to all programs")
        elif "/glibc-hwcaps/" in entry.path and name in held:
            yield Fault("loader", entry.path, f"the loader uses it, not the worker image's {name}")
    yield from _cache(found, held)


def _cache(found: Derivation, held: set[str]) -> Iterator[Fault]:
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
        if name in held and not (target and found.is_trusted(target)):
            yield Fault("loader", entry.path, f"{name} is {path}, not the worker image's")


def path(found: Derivation) -> Iterator[Fault]:
    """PATH finds the worker image's own programs first."""
    own = found.promise.environment["PATH"]
    programs = _programs(found.worker, own.split(":"))
    for value in [value for name, value in found.variables if name == "PATH"] or [own]:
        folders = value.split(":")
        if relative := [each for each in folders if not each.startswith("/")]:
            yield Fault("path", "ENV PATH", f"has entries that are not absolute: {relative}")
        hits = {name: _first(found.image, folders, name) for name in programs}
        if missing := [name for name, hit in hits.items() if not hit]:
            what = f"does not find {missing[0]} and {len(missing) - 1} other programs"
            yield Fault("path", "ENV PATH", f"{what} of the worker image")
        for name, hit in hits.items():
            # The rule "replaced" names the worker image's own paths.
            if hit and not found.is_trusted(hit) and hit.path not in found.worker.merged:
                yield Fault("path", hit.path, f"PATH finds it as {name}")


def _programs(worker: Image, folders: list[str]) -> list[str]:
    """The names by which PATH finds programs of the worker image."""
    places = [path.rpartition("/") for path in worker.merged]
    names = sorted({name for folder, _, name in places if folder in folders})
    return [name for name in names if _first(worker, folders, name)]


def _first(image: Image, folders: list[str], program: str) -> Entry | None:
    for folder in folders:
        hit = image.find(posixpath.join("/", folder, program))
        if hit and hit.kind != "folder" and (hit.kind == "hardlink" or hit.mode & 0o111):
            return hit
    return None


def nvidia(found: Derivation) -> Iterator[Fault]:
    """The variables that begin with NVIDIA_ are those of the variant."""
    values: dict[str, set[str]] = {}
    expected = {
        name: value
        for name, value in found.promise.environment.items()
        if name.startswith("NVIDIA_")
    }
    for name, value in found.variables:
        if name.startswith("NVIDIA_"):
            values.setdefault(name, set()).add(value)
    for name in sorted(values.keys() | expected.keys()):
        own = values.get(name, set())
        if own != ({expected[name]} if name in expected else set()):
            shown = " and ".join(map(repr, sorted(own))) or "not set"
            want = repr(expected[name]) if name in expected else "not set"
            yield Fault("nvidia", f"ENV {name}", f"{shown}, want {want}")


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
