"""Is the image free of secrets, in its configuration and in every file of its own layers?"""

import json
import re
from collections.abc import Mapping

import pytest

from worker_images.harness import scanner
from worker_images.harness.allow import Allowed
from worker_images.harness.closed_world import Declared
from worker_images.harness.collection import Case
from worker_images.harness.derived import Fault
from worker_images.model.oci import manifest
from worker_images.model.oci.image import Image
from worker_images.untrusted import listed

# A setting with such a name is a secret, whatever its value, except a placeholder and the path of a
# mounted secret.
SECRET_NAMES = re.compile(
    r"(?i)(passw(or)?d|secret|token|credential|api_?key|private_?key|access_?key)(_[0-9]+)?\s*=\s*"
    r"['\"]?(?!<|/run/secrets/)[^\s'\"$]{4,}"
)


@pytest.fixture(scope="module")
def settings(image: Image) -> list[tuple[str, str]]:
    """The variables, labels, commands, annotations and history of the image, with their places."""
    lines = [(f"ENV {line.partition('=')[0]}", line) for line in image.environment]
    lines += [(f"LABEL {key}", f"{key}={value}") for key, value in image.labels.items()]
    lines += [
        (name, str(value))
        for name, value in image.settings.items()
        if name not in {"Env", "Labels"}
    ]
    lines += [
        (f"ANNOTATION {key}", f"{key}={value}")
        for each in image.documents
        for key, value in manifest.annotations(each)
    ]
    return lines + [(f"HISTORY {row}", str(step)) for row, step in enumerate(image.history, 1)]


def test_no_secret_in_the_configuration_or_the_manifest(image: Image, allowed: Allowed) -> None:
    """Annotations and file names are scanned too."""
    documents = [image.config, *image.documents]
    texts = [("configuration and manifest", [json.dumps(documents).encode()])]
    paths = "\n".join(f"{entry.path}\n{entry.target}" for entry in image.entries)
    texts.append(("names of files and targets of links", [paths.encode(errors="replace")]))
    assert image.config
    _fail_for(scanner.scan(texts, confidence="low"), allowed)


def test_no_setting_has_the_name_of_a_secret(
    settings: list[tuple[str, str]], allowed: Allowed
) -> None:
    named = {place for place, line in settings if SECRET_NAMES.search(line)}
    _fail_for({place: {"a value for the name of a secret"} for place in named}, allowed)


def test_no_file_contains_a_secret(
    image: Image, case: Case, declared: dict[str, Declared], allowed: Allowed
) -> None:
    """Files that a later layer hides are read too; unchanged Debian files are skipped.

    An image of the source upstream does not record which package brought a file.
    """
    known = {path: found.sha256 for path, found in declared.items() if found.sha256}
    files = [
        entry
        for entry in image.entries
        if entry.kind == "file" and known.get(entry.path) != image.sha256(entry)
    ]
    assert len(files) > len(case.components)
    found = scanner.scan((entry.path, image.contents(entry)) for entry in files)
    from_upstream = case.source == "upstream"
    _fail_for(scanner.without_examples(found, libraries=from_upstream), allowed)


def _fail_for(found: Mapping[str, set[str]], allowed: Allowed) -> None:
    """Name the place and the rules of each secret, but not the secret."""
    faults = [Fault("secret", name, ", ".join(sorted(found[name]))) for name in sorted(found)]
    if refused := allowed.refused(faults):
        pytest.fail(listed(map(str, refused)), pytrace=False)
