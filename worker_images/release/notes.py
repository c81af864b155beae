"""Release notes as Markdown, from the record of a release and that of an earlier one."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from worker_images.release.record import Layer, Package, Platform, Released
from worker_images.untrusted import shown

MAX_CELL = 400
NONE = "-"
ESCAPES = str.maketrans({"|": "\\|", "<": "&lt;", "`": "'"})


def notes(released: Released, since: Released | None = None) -> str:
    """The notes of a release; with an earlier one, also what changed since then."""
    sections = (
        ("", _summary(released, since)),
        ("Images", _images(released)),
        ("Drivers", _drivers(released, since)),
        ("Components", _components(released, since)),
        ("Sizes", _sizes(released)),
        ("Tests", _tests(released)),
        ("Debian packages", _packages(released, since)),
        ("Licences", _licences(released)),
        ("Verify", _verify(released)),
    )
    lines = [f"# {_cell(released.name)} {_cell(released.version)}"]
    for title, section in sections:
        lines += [*([f"\n## {title}"] if title else []), "", *section]
    return "\n".join(lines) + "\n"


def _summary(released: Released, since: Released | None) -> Iterator[str]:
    revision, created = _cell(released.revision), _cell(released.created)
    yield f"Built from git revision `{revision}`, with packages locked at {created}."
    if since:
        new, old = _by_name(released), _by_name(since)
        yield f"Changes are those since {_cell(since.version)}.\n"
        yield from (f"- New image: {name}." for name in new if name not in old)
        yield from (f"- **No longer released: {name}.**" for name in old if name not in new)
    for each in released.platforms:
        for lack in each.lacks:
            yield f"- {each.name} lacks {_cell(lack)}."


def _images(released: Released) -> Iterator[str]:
    yield from _table(
        ("image", "tag", "index", "manifest", "image ID"),
        (
            (
                each.name,
                f"`{_cell(released.version)}-{each.variant}`",
                f"`{_cell(released.indexes.get(each.variant, ''))}`",
                f"`{_cell(each.manifest_digest)}`",
                f"`{_cell(each.image_id)}`",
            )
            for each in released.platforms
        ),
    )


def _drivers(released: Released, since: Released | None) -> Iterator[str]:
    earlier = _by_name(since) if since else {}
    for each in released.platforms:
        yield f"- {each.name} serves {len(each.drivers)}: {', '.join(each.drivers)}"
        if before := earlier.get(each.name):
            gained = ", ".join(name for name in each.drivers if name not in before.drivers)
            lost = ", ".join(name for name in before.drivers if name not in each.drivers)
            yield f"  - gained: {gained or 'none'}"
            yield f"  - **lost: {lost}**" if lost else "  - lost: none"


def _components(released: Released, since: Released | None) -> Iterator[str]:
    new, old = _versions(released), _versions(since) if since else {}
    header = ("component", "version", *((f"in {_cell(since.version)}",) if since else ()))
    yield from _table(
        header,
        (
            (
                name,
                _changed(new.get(name, NONE), old.get(name, NONE), compare=bool(since)),
                *((old.get(name, NONE),) if since else ()),
            )
            for name in dict.fromkeys([*new, *old])
        ),
    )


def _changed(new: str, old: str, *, compare: bool) -> str:
    return f"**{new}**" if compare and new != old else new


def _sizes(released: Released) -> Iterator[str]:
    platforms = released.platforms
    names = dict.fromkeys(part.name for each in platforms for part in each.components)
    parts = [{part.name: part.bytes for part in each.components} for each in platforms]
    yield "MB; the components are unpacked layers.\n"
    rows = [(name, *(_megabytes(each.get(name)) for each in parts)) for name in names]
    rows.append(("all, unpacked", *(_megabytes(each.bytes) for each in platforms)))
    rows.append(("all, compressed", *(_megabytes(each.compressed) for each in platforms)))
    if any(each.zstd for each in platforms):
        rows.append(("all, with zstd", *(_megabytes(each.zstd) for each in platforms)))
    yield from _table(("part", *(each.name for each in platforms)), rows)


def _tests(released: Released) -> Iterator[str]:
    yield from _table(
        ("layer", "image", "result", "passed", "failed", "not run", "why not run"),
        (_test(each, layer) for each in released.platforms for layer in each.tests),
    )


def _test(platform: Platform, layer: Layer) -> tuple[str, ...]:
    not_run = sum(layer.not_run.values())
    reasons = [f"{_cell(reason)} ({count})" for reason, count in sorted(layer.not_run.items())]
    passed = "**passed in part**" if not_run else "passed"
    result = "**failed**" if layer.failed else passed if layer.passed else "**not run**"
    counts = (layer.passed, layer.failed, not_run)
    why = "; ".join(reasons) or _cell(layer.reason) or NONE
    return layer.name, platform.name, result, *map(str, counts), why


def _packages(released: Released, since: Released | None) -> Iterator[str]:
    """Changes since the earlier release, then all packages, by architecture."""
    old = _by_architecture(since) if since else {}
    for architecture, new in _by_architecture(released).items():
        if since and architecture in old:
            yield f"### Changes of {architecture} since {_cell(since.version)}\n"
            yield from _changes(new, old[architecture])
        yield f"<details><summary>All {len(new)} packages of {architecture}</summary>\n"
        yield from (f"- {name} {_cell(each.version)}{_mark(each)}" for name, each in new.items())
        yield "\n</details>\n"
    yield "(security): from Debian's security archive when the packages were locked."


def _changes(new: Mapping[str, Package], old: Mapping[str, Package]) -> Iterator[str]:
    names = [name for name in sorted({*new, *old}) if _version(new, name) != _version(old, name)]
    marks = {name: "**security**" for name in names if name in new and new[name].security}
    yield f"{len(names)} changed, {len(marks)} of them for security\n"
    if names:
        yield from _table(
            ("package", "before", "now", ""),
            (
                (name, _version(old, name), _version(new, name), marks.get(name, ""))
                for name in names
            ),
        )
        yield ""


def _licences(released: Released) -> Iterator[str]:
    found: dict[str, dict[str, None]] = {}
    for part in (part for each in released.platforms for part in each.components):
        found.setdefault(part.licence, {})[part.name] = None
    yield from (f"- {_cell(licence)}: {', '.join(found[licence])}" for licence in sorted(found))
    yield "- Debian packages: `/usr/share/doc/PACKAGE/copyright` in the image"


def _verify(released: Released) -> Iterator[str]:
    name, version = _cell(released.name), _cell(released.version)
    yield "```"
    for variant, digest in sorted(released.indexes.items()):
        yield f"./build.py verify-release {name}:{version}-{variant} {_cell(released.signer)}"
        yield f"docker pull {name}@{_cell(digest)}"
    yield "```"


def _by_name(released: Released) -> dict[str, Platform]:
    return {each.name: each for each in released.platforms}


def _by_architecture(released: Released) -> dict[str, dict[str, Package]]:
    """The packages of all variants, by architecture and name."""
    found: dict[str, dict[str, Package]] = {}
    for each in released.platforms:
        found.setdefault(each.architecture, {}).update({row.name: row for row in each.packages})
    return {key: dict(sorted(rows.items())) for key, rows in sorted(found.items())}


def _versions(released: Released) -> dict[str, str]:
    """Each component's version; several ones if images differ."""
    found: dict[str, dict[str, None]] = {}
    for each in released.platforms:
        for part in each.components:
            found.setdefault(part.name, {})[_cell(part.version)] = None
    return {name: ", ".join(versions) for name, versions in found.items()}


def _version(packages: Mapping[str, Package], name: str) -> str:
    return _cell(packages[name].version) if name in packages else NONE


def _mark(package: Package) -> str:
    return " (security)" if package.security else ""


def _megabytes(size: int | None) -> str:
    return f"{size / 1e6:.1f}" if size else NONE


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(header)} |"
    yield f"|{' --- |' * len(header)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)


def _cell(text: str) -> str:
    """Text of a record as one cell, without Markdown's and HTML's own characters."""
    return shown(text, MAX_CELL).translate(ESCAPES)
