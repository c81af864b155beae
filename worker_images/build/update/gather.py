"""All sources asked at once and for a bounded time.

What each did not answer is told, and is no error of the others.
"""

import json
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from worker_images.build.update import contract, goproxy, pypi, vendor
from worker_images.build.update.proposals import CUDA, DEBIAN, GO, GVISOR, Found, pinned, released
from worker_images.build.update.suite import SourcePackage
from worker_images.build.update.values import Facts, Offer
from worker_images.errors import ImageBuildError, NoAnswerError
from worker_images.fetch import reach
from worker_images.model.drivers.table import DRIVERS
from worker_images.model.pins import PackagesSource, Pins

COMPONENTS = Path("images/components")
SETTLE_SECONDS = 1.0


class Registry(Protocol):
    """Where a supply of packages comes from."""

    def newer(self, pinned: str) -> Sequence[Offer]:
        """Newer versions, newest first; raises NoAnswerError."""


class Site(Protocol):
    """Where a project publishes."""

    def digest(self, version: str) -> str:
        """The digest that the pin holds; raises NoAnswerError."""


@dataclass(frozen=True)
class Question:
    """One component, and who is asked about it.

    A site that is None has nothing that changes with the version.
    """

    component: str
    registry: Registry
    site: Site | None = None


@dataclass(frozen=True)
class Asking:
    """The reader's mirrors, the commits of gVisor that they name, and the time that all sources
    have.
    """

    environment: Mapping[str, str]
    commits: tuple[str, ...] = ()
    seconds: float = 60.0


@dataclass(frozen=True)
class Answers:
    """What was offered, and which components nobody could say anything of, with the reason."""

    found: tuple[Found, ...]
    unanswered: Mapping[str, str]


@dataclass(frozen=True)
class CurrentTag:
    """An image's tag as a registry of its one newest digest."""

    site: Site
    tag: str

    def newer(self, pinned: str) -> Sequence[Offer]:
        """The digest, where it is another."""
        now = self.site.digest(self.tag)
        return () if now == pinned else (Offer(now),)


def facts(root: Path) -> Facts:
    """The tables beside the components."""
    cuda = json.loads((root / COMPONENTS / CUDA / "releases.json").read_text())
    checksums = json.loads((root / COMPONENTS / GVISOR / "checksums.json").read_text())
    runsc = {release: row["amd64"] for release, row in checksums["runsc_sha512"].items()}
    return Facts(contract.table(root / DRIVERS), runsc, cuda["runtimes"], cuda["drivers"])


def questions(pins: Pins, known: Facts, asking: Asking) -> list[Question]:
    """Who is asked about each component of versions.yaml."""
    proxy = goproxy.chosen(asking.environment)
    image, _, tag = pins.debian.image.partition(":")
    asked: list[Question] = [
        Question(GO, goproxy.Toolchains(goproxy.Module(proxy, "golang.org/toolchain"))),
        Question(
            DEBIAN, CurrentTag(vendor.ImageTag(image if "/" in image else f"library/{image}"), tag)
        ),
    ]
    sites: dict[str, Site] = {
        GVISOR: vendor.RunscRelease(known.runsc),
        "runc": vendor.RuncRelease(),
        CUDA: vendor.ImageTag("nvidia/cuda"),
    }
    for name, pin in pins.components.items():
        asked.append(Question(name, _registry(pins, name, pin.packages, asking), sites.get(name)))
    return asked


def _registry(pins: Pins, name: str, source: PackagesSource, asking: Asking) -> Registry:
    if source.module:
        module = goproxy.Module(goproxy.chosen(asking.environment), source.module)
        return (
            goproxy.Commits(module, asking.commits) if name == GVISOR else goproxy.Releases(module)
        )
    if source.wheel:
        return pypi.Wheels(pypi.chosen(asking.environment), source.wheel)
    return SourcePackage(pins.debian, source.debian or name, seconds=asking.seconds * 2 / 3)


def ask(pins: Pins, asked: Sequence[Question], known: Facts, seconds: float) -> Answers:
    """Put all questions at once; none of them ends the others."""
    try:
        answers = reach.ask(
            {each.component: partial(_answer, pins, each, known) for each in asked}, seconds
        )
    except KeyboardInterrupt:
        _settle()
        raise
    late = f"no answer in {seconds:g} s; give it more: --within SECONDS"
    rows = {each.component: answers.get(each.component, late) for each in asked}
    found = tuple(Found(name, row) for name, row in rows.items() if not isinstance(row, str))
    return Answers(found, {name: row for name, row in rows.items() if isinstance(row, str)})


def _settle() -> None:
    """Let threads that are at work end: the interpreter must not be torn down under the libraries
    that they are in.
    """
    deadline = time.monotonic() + SETTLE_SECONDS
    for thread in threading.enumerate():
        if thread.daemon:
            thread.join(max(0.0, deadline - time.monotonic()))


def _answer(pins: Pins, question: Question, known: Facts) -> Sequence[Offer] | str:
    """The offers of one component, or why there are none."""
    try:
        offers = question.registry.newer(pinned(pins, question.component))
    except (ImageBuildError, OSError) as error:
        return str(error)
    return _completed([released(offer, question.component, known) for offer in offers], question)


def _completed(offers: Sequence[Offer], question: Question) -> list[Offer]:
    """Each with its vendor's digest; a site that said nothing is not asked again."""
    silence: NoAnswerError | None = None
    rows = []
    for offer in offers:
        if question.site is None or offer.fault or not offer.release:
            rows.append(offer)
            continue
        try:
            if silence:
                raise silence
            rows.append(replace(offer, vendor=question.site.digest(offer.release)))
        except NoAnswerError as error:
            silence = None if error.status else error
            rows.append(
                replace(
                    offer, fault=f"{error}, so the vendor's digest of {offer.release} is not known"
                )
            )
    return rows
