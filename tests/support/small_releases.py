"""Releases of an image of a few bytes: a real archive, real manifests and real signatures.

As a program it publishes one, so that tests can kill it: FOLDER, REPOSITORY, TEXT.
"""

import gzip
import hashlib
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from tests.support import archives
from tests.support.records import RECORD
from worker_images import console
from worker_images.build.plan import Plan
from worker_images.model.oci import config as configuration
from worker_images.model.oci import manifest
from worker_images.model.oci.files import open_archive
from worker_images.release import attest, layout, policy, registry, tested
from worker_images.release.cosign import Signer, Statement, Verifier
from worker_images.release.drafts import Draft, Part
from worker_images.release.examine import REVISION, VARIANT, VERSION
from worker_images.release.layout import ANNOTATION, Candidate, Layout
from worker_images.release.provenance import BUILD_TYPE, PARAMETERS, SOURCE, commit_of
from worker_images.release.publish import Publisher, compose
from worker_images.release.registry import Repository, as_json
from worker_images.release.statements import PROVENANCE, SBOM, SIGNATURE, TESTS
from worker_images.release.tested import LayerResults, Row, Tested
from worker_images.release.tools import Tools

NUMBER = "1.0"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
CREATED = "2026-11-26T00:00:00Z"
# One blob of each sort in a release.
PARTS = ("index", "manifest", "configuration", "layer", "attestation", "bundle")


@dataclass(frozen=True)
class Cached(Signer):
    """A signer that keeps its bundles in a folder, because cosign needs a second for each.

    Signatures of another `attempt` differ, as those of two releases do.
    """

    folder: Path = Path()
    attempt: str = ""

    def sign(self, digest: str, kind: str, predicate: object, name: str) -> bytes:
        key = hashlib.sha256(as_json([self.attempt, digest, kind, predicate])).hexdigest()
        path = self.folder / key
        if not path.exists():
            part = path.with_suffix(f".{os.getpid()}")
            part.write_bytes(super().sign(digest, kind, predicate, name))
            part.rename(path)
        return path.read_bytes()


@dataclass(frozen=True)
class Factory:
    """A folder with a key pair, k.key and k.pub, signed bundles, and the tools."""

    folder: Path
    tools: Tools

    @property
    def verifier(self) -> Verifier:
        """Who must have signed."""
        return Verifier(self.tools, key=self.folder / "k.pub")

    def signer(self, attempt: str = "") -> Signer:
        """Who signs."""
        return Cached(self.tools, self.folder / "k.key", self.folder, attempt)

    def draft(
        self,
        text: str = "one",
        variant: str = "slim",
        number: str = NUMBER,
        revision: str = COMMIT,
    ) -> Draft:
        """A draft of an image with one file, which holds the text."""
        archive = self.folder / f"{variant}-{archives.digest(text.encode())[7:]}.tar"
        if not archive.exists():
            write_archive(archive, variant, text)
        with open_archive(archive) as files:
            found = manifest.read(files, strict=True)
        assert found.descriptor
        digest, size = found.descriptor["digest"], found.descriptor["size"]
        candidate = Candidate(variant, "amd64", archive, digest, size, found.digests[-1])
        annotations = {
            REVISION: revision,
            f"{ANNOTATION}created": CREATED,
            VARIANT: variant,
            VERSION: number,
        }
        # Only attest.statements reads the plan. These releases have other statements.
        part = Part(candidate, cast("Plan", None), RECORD)
        index = layout.index_of([candidate], annotations)
        return Draft(variant, f"{number}-{variant}", index, (part,), annotations)

    def publisher(
        self,
        target: Repository,
        progress: Callable[[str], None] = lambda _: None,
        *,
        settle: float = 0.0,
        attempt: str = "",
        keep_floating: bool = False,
    ) -> Publisher:
        """What publishes drafts."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        signer = self.signer(attempt)
        return Publisher(target, signer, self.verifier, (), folder, progress, keep_floating, settle)


def write_archive(path: Path, variant: str, text: str) -> None:
    """Write an archive of one layer with one file."""
    layer = archives.layer(("file", "text", text))
    config: dict[str, object] = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Labels": {VARIANT: variant}},
    }
    packed = gzip.compress(layer, mtime=0)
    archives.pack(path, archives.files_of([packed], [archives.digest(layer)], config))


def statements(draft: Draft) -> list[Statement]:
    """All statements that a release needs."""
    (part,) = draft.parts
    own = part.candidate
    row = Row("tests/image/test_small.py::test_text", "passed")
    ran = LayerResults("image", (row,), suite=64 * "a", report=64 * "b", at="2026-11-26")
    others = [LayerResults(name, reason="not here") for name in policy.STEPS if name != "image"]
    results = Tested(own.variant, "amd64", own.image_id, own.digest, (ran, *others))
    return [
        Statement(SIGNATURE, {}),
        Statement(PROVENANCE, _provenance(draft)),
        Statement(SBOM, _sbom(own)),
        Statement(TESTS, tested.predicate(results)),
    ]


def _provenance(draft: Draft) -> object:
    outer = dict.fromkeys(PARAMETERS, "") | {"variant": draft.variant}
    commit = commit_of(draft.annotations[REVISION])
    source = {"name": SOURCE, "digest": {"gitCommit": commit}}
    definition = {
        "buildType": BUILD_TYPE,
        "externalParameters": outer,
        "resolvedDependencies": [source] if commit else [],
    }
    return {"buildDefinition": definition}


def _sbom(candidate: Candidate) -> object:
    with open_archive(candidate.archive) as files:
        (layer,) = configuration.diff_ids(manifest.read(files).config)
    component = {"bom-ref": "component:text", "hashes": [{"content": layer[7:]}]}
    return {
        "metadata": {"component": {"version": candidate.digest}},
        "components": [component],
    }


def composed(
    factory: Factory,
    draft: Draft,
    kinds: Mapping[str, str] | None = None,
    signer: Signer | None = None,
) -> Layout:
    """A release in a new folder; `kinds` replaces the predicate's type of statements."""
    signer = signer or factory.signer()
    local = compose(draft, Path(tempfile.mkdtemp(dir=factory.folder), "layout"))
    subject = layout.descriptor(layout.INDEX, draft.digest, len(draft.index))
    for each in statements(draft):
        kind = (kinds or {}).get(each.kind, each.kind)
        bundle = signer.sign(draft.digest, kind, each.predicate, draft.tag)
        local = local.with_entries(local.attach(subject, bundle, each.kind, CREATED))
    return local


def parts(local: Layout, draft: Draft) -> dict[str, str]:
    """The digests of one blob of each sort."""
    child = draft.parts[0].candidate
    attached = next(each["digest"] for each in local.entries if each["digest"] != draft.digest)
    return {
        "index": draft.digest,
        "manifest": child.digest,
        "configuration": child.image_id,
        "layer": local.json(child.digest)["layers"][0]["digest"],
        "attestation": attached,
        "bundle": local.json(attached)["layers"][0]["digest"],
    }


def publish(publisher: Publisher, *drafts: Draft) -> list[str]:
    """Publish what a registry lacks of drafts, then tag them; return what was done."""
    present = [publisher.state(draft) for draft in drafts]
    for draft, state in zip(drafts, present, strict=True):
        if not state or state.faults:
            wanted = statements(draft)
            lacking = attest.lacking(wanted, state.statements if state else (), given=False)
            publisher.publish(draft, lacking)
    return [_tag(publisher, draft) for draft in drafts]


def _tag(publisher: Publisher, draft: Draft) -> str:
    if publisher.target.resolve(f":{draft.tag}") == draft.digest:
        return f"{draft.tag} was already released"
    publisher.tag(draft)
    return f"{draft.tag} is released"


def _main() -> str:
    tools, folder, repository, text = sys.argv[1:]
    factory = Factory(Path(folder), Tools(Path(tools)))
    publisher = factory.publisher(
        registry.connect(factory.tools, repository), console.print_progress
    )
    return "\n".join(publish(publisher, factory.draft(text)))


if __name__ == "__main__":
    sys.exit(console.main("release", lambda: (0, _main()), "interrupted"))
