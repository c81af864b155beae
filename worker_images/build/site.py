"""What a build of source upstream takes from its site: mirrors, and apt's settings and logins.

Nothing of it changes a Dockerfile, an image or a record.
"""

import re
from collections.abc import Mapping

from worker_images.build.plan import Plan
from worker_images.build.published import Image
from worker_images.fetch import access, apt
from worker_images.model.component import UpstreamRepository
from worker_images.model.pins import mirrored

HUB = "docker.io"
# The archives that Debian's image names.
DEBIAN = ("http://deb.debian.org/debian", "http://deb.debian.org/debian-security")
SOURCES = """\
Types: deb
URIs: {}
Suites: {}
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""


def contexts(plan: Plan, mirrors: Mapping[str, str]) -> dict[str, str]:
    """Return the mirror of each image of a plan that has one, as buildx's named contexts."""
    found = {}
    for image in (each for each in plan.inputs if isinstance(each, Image)):
        full = f"{HUB}/{image.name if '/' in image.name else f'library/{image.name}'}"
        if (mirror := mirrored(full, mirrors)) != full:
            found[f"{image.name}@{image.digest}"] = f"docker-image://{mirror}@{image.digest}"
    return found


def secrets(plan: Plan, mirrors: Mapping[str, str]) -> dict[str, str]:
    """Return what apt needs in build steps, by the name of the secret; without empty ones."""
    if plan.source != "upstream":
        return {}
    archives = [mirrored(each, mirrors) for each in (plan.debian.mirror, plan.debian.security)]
    repositories = {
        f"{each.name}.list": each.origin.repository.replace("{arch}", plan.architecture)
        for each in plan.components
        if isinstance(each.origin, UpstreamRepository)
    }
    found_at = {name: mirrored(url, mirrors) for name, url in repositories.items()}
    addresses = [url.partition(" ")[0] for url in (*archives, *found_at.values())]
    found = {
        "debian.sources": _sources(archives, plan.debian.suite),
        "apt.conf": _without_files(access.apt_configuration(addresses)),
        "auth.conf": access.apt_logins(addresses),
        **{name: url for name, url in found_at.items() if url != repositories[name]},
    }
    return {name: text for name, text in found.items() if text}


def _sources(archives: list[str], suite: str) -> str:
    """Return apt's sources; empty for the archives that Debian's image names."""
    if tuple(archives) == DEBIAN:
        return ""
    suites = (f"{suite} {suite}-updates", f"{suite}-security")
    texts = []
    for archive, names in zip(archives, suites, strict=True):
        # A snapshot's indexes are no longer renewed.
        old = "Check-Valid-Until: no\n" if apt.SNAPSHOT.search(archive) else ""
        texts.append(SOURCES.format(archive, names) + old)
    return "\n".join(texts)


def _without_files(settings: str) -> str:
    """Return apt's settings without those that name files of this machine."""
    lines = settings.splitlines(keepends=True)
    return "".join(line for line in lines if not re.search("::(CA|Proxy-Auto-Detect)", line))
