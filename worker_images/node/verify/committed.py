"""The checklist's rows for the committed text."""

import itertools
import re

from worker_images.node.place import Answer
from worker_images.node.verify.rows import (
    FAILED,
    NOT_RUN,
    PASSED,
    WRONG,
    Finding,
    Row,
    Scene,
    last_line,
)

SECTION = "What We Already Have"
PINNED = (
    "ARG GVISOR_VERSION=20250407.0  # Latest version, includes nvproxy\nRUN curl -fsSL"
    " .../runsc ..."
)
NO_ENVIRONMENT = 2
FILES = "images/*/Dockerfile.worker"
LINE = re.compile(r"(\S+?Dockerfile\.worker)[:-](.*)")
# A file: address is of the build context, whose files were checked before they came there.
FETCHES = re.compile(r"FROM |[^#]*(?<!file)://")
DIGEST = re.compile(r"@sha256:[0-9a-f]{64}\b")


def rendered(_: Scene, said: Answer) -> Finding:
    """build.py compares each committed file with what its sources render."""
    if said.status == NO_ENVIRONMENT:
        return Finding(NOT_RUN, last_line(said.errors), "build.py cannot run here", "make setup")
    if said.status:
        return Finding(
            FAILED,
            last_line(said.errors),
            "a committed file is not what versions.yaml renders",
            "make render, and read the difference",
        )
    return Finding(PASSED, "nothing differs")


def checked(_: Scene, said: Answer) -> Finding:
    """Every line that fetches names what it must get, or the next one checks it."""
    lines = [found.groups() for line in said.output.splitlines() if (found := LINE.match(line))]
    stages = {
        text.split(" AS ")[1] for _, text in lines if text.startswith("FROM ") and " AS " in text
    }
    asked = [
        (file, text, after)
        for (file, text), (_, after) in itertools.pairwise([*lines, ("", "")])
        if FETCHES.match(text)
    ]
    loose = [f"{file}: {text}" for file, text, after in asked if not _fixed(text, after, stages)]
    if not asked or loose:
        words = "; ".join(loose) or "no Dockerfile"
        return Finding(
            FAILED,
            words,
            "what it fetches may be another thing tomorrow",
            "give it a digest, and run: make render",
        )
    return Finding(
        PASSED,
        f"{len(asked)} lines build on something or fetch it: scratch, a stage, or by its digest",
    )


def _fixed(text: str, after: str, stages: set[str]) -> bool:
    if text.startswith("FROM "):
        image = text.split()[1]
        return image == "scratch" or image in stages or bool(DIGEST.search(image))
    return text.startswith("ADD --checksum=sha256:") or (
        text.startswith("ADD ") and "sha512sum --check" in after
    )


ROWS = (
    Row(
        layer="static",
        section=SECTION,
        note=PINNED,
        worth=WRONG,
        reason=(
            "no digest and nothing checked; of 20250407.0's 13 drivers none is a 575, 580 or 590"
        ),
        check="the Dockerfiles are what versions.yaml pins",
        expected="exit status 0",
        judge=rendered,
        command="./build.py render --check",
    ),
    Row(
        layer="static",
        section=SECTION,
        note="FROM nvidia/cuda:12.8.0-base-ubuntu22.04",
        worth=WRONG,
        reason="a tag moves, and what stands on it with it",
        check="what the Dockerfiles fetch has a digest",
        expected="each FROM is scratch, a stage or has @sha256:…; each address a checksum",
        judge=checked,
        command=f"grep -HEA1 '^FROM |://' {FILES}",
    ),
)
