"""A built variant in out/: its size, its record, and why it must not be used."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from worker_images.errors import FailedTestsError
from worker_images.harness import expect
from worker_images.harness.collection import HOST_ARCHITECTURE
from worker_images.model import catalog
from worker_images.model.oci.outline import Outline, outline
from worker_images.model.results import ALL, FAILED, Check, Run
from worker_images.typed import typed
from worker_images.untrusted import UntrustedError, read_json


@dataclass(frozen=True)
class Built:
    """A variant with its image and record.

    `layers` are (component, diffID, bytes). Sizes are unpacked bytes, except for `download`.
    `refused` is the reason why the image must not be used, empty if there is none.
    """

    variant: str
    purpose: str
    budget: int
    image_id: str
    layers: tuple[tuple[str, str, int], ...]
    size: int
    download: int
    record: Mapping[str, Any]
    refused: str


@dataclass(frozen=True)
class _Shown:
    """The fields of a record that the report shows."""

    image_id: str
    revision: str
    versions: Mapping[str, str]
    lacks: tuple[str, ...] = ()


_SHOWN = frozenset(field.name for field in fields(_Shown))


def read(
    root: Path, name: str, variant: catalog.Variant, run: Run | None, checks: Sequence[Check]
) -> Built:
    """Read a variant's image; `run` is of its image layer, `checks` of all.

    Raises ImageError and FailedTestsError.
    """
    folder = root / "out" / name
    found, record = _image(folder)
    # The components are the last layers; the layers below them are the base.
    below = len(found.layers) - len(variant.components)
    names = ("base",) * below + variant.components
    layers = tuple((part, *layer) for part, layer in zip(names, found.layers, strict=False))
    failed = sum(
        check.result.outcome == FAILED and check.variant in {name, ALL} for check in checks
    )
    return Built(
        variant=name,
        purpose=variant.purpose,
        budget=round(float(expect.variant(root, name).megabytes[HOST_ARCHITECTURE]) * 1e6),
        image_id=found.image_id,
        layers=layers,
        size=sum(size for _, _, size in layers),
        download=found.download,
        record=record,
        refused=_refused(name, found.image_id, record, run, failed),
    )


def _image(folder: Path) -> tuple[Outline, dict[str, Any]]:
    """Return the image's outline and record, both empty if one of the two is missing."""
    archive = folder / "image.tar"
    record = folder / "build.json"
    if not archive.exists() or not record.exists():
        return Outline("", (), 0), {}
    return outline(archive), _record(record)


def _record(path: Path) -> dict[str, Any]:
    """Return a record with the fields that the report shows; raises FailedTestsError."""
    try:
        found = read_json(path)
        is_object = isinstance(found, dict)
        typed(_Shown, {name: found[name] for name in _SHOWN & found.keys()} if is_object else found)
    except UntrustedError as error:
        raise FailedTestsError(f"{path}: not a record: {error}; build the image again") from error
    return dict(found)


def _refused(
    name: str, image_id: str, record: Mapping[str, Any], run: Run | None, failed: int
) -> str:
    """Return why the image must not be used, or an empty text."""
    tested = run.properties.get("image_id", "") if run else ""
    if failed:
        newer = " in a newer build" if image_id and run and tested != image_id else ""
        return f"{failed} {'check' if failed == 1 else 'checks'} failed{newer}"
    if not image_id:
        return f"not built; run: make {name}"
    if {tested, record.get("image_id")} != {image_id}:
        return "not tested; run: make test-image"
    return ""
