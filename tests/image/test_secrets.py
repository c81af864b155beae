"""Is the image free of secrets, in its configuration and in every file of its own layers?"""

import json
import re
from collections.abc import Mapping

import pytest

from worker_images.harness import scanner
from worker_images.harness.closed_world import Declared
from worker_images.harness.collection import Case
from worker_images.model.oci import manifest
from worker_images.model.oci.image import Image
from worker_images.untrusted import listed

# A setting with such a name is a secret, whatever its value.
SECRET_NAMES = re.compile(
    r"(?i)(passw(or)?d|secret|token|credential|api_?key|private_?key|access_?key)(_[0-9]+)?\s*=\s*['\"]?[^\s'\"$]{4,}"
)


@pytest.fixture(scope="module")
def settings(image: Image) -> list[str]:
    """The environment variables, labels, commands, annotations and history of the image."""
    labels = (f"{key}={value}" for key, value in image.labels.items())
    commands = [
        str(value) for name, value in image.settings.items() if name not in {"Env", "Labels"}
    ]
    notes = [
        f"{key}={value}" for each in image.documents for key, value in manifest.annotations(each)
    ]
    steps = [str(step) for step in image.history]
    return [*image.environment, *labels, *commands, *notes, *steps]


def test_no_secret_in_the_configuration_or_the_manifest(image: Image) -> None:
    """Annotations and file names are scanned too."""
    documents = [image.config, *image.documents]
    texts = [("configuration and manifest", [json.dumps(documents).encode()])]
    paths = "\n".join(f"{entry.path}\n{entry.target}" for entry in image.entries)
    texts.append(("names of files and targets of links", [paths.encode(errors="replace")]))
    assert image.config
    _fail_for(scanner.scan(texts, confidence="low"))


def test_no_setting_has_the_name_of_a_secret(settings: list[str]) -> None:
    assert not [line for line in settings if SECRET_NAMES.search(line)]


def test_no_file_contains_a_secret(image: Image, case: Case, declared: dict[str, Declared]) -> None:
    """Files that a later layer hides are read too; unchanged Debian files are skipped."""
    known = {path: found.sha256 for path, found in declared.items() if found.sha256}
    files = [
        entry
        for entry in image.entries
        if entry.kind == "file" and known.get(entry.path) != image.sha256(entry)
    ]
    assert len(files) > len(case.components)
    _fail_for(scanner.scan((entry.path, image.contents(entry)) for entry in files))


def _fail_for(found: Mapping[str, set[str]]) -> None:
    """Name the text and the rule of each secret, but not the secret."""
    if found:
        lines = (f"{name}: {', '.join(sorted(rules))}" for name, rules in sorted(found.items()))
        pytest.fail(listed(lines), pytrace=False)
