"""Names of releases are split as Docker does, and refused with the reason and the fix."""

import pytest

from worker_images.errors import UsageError
from worker_images.release import names

NAME = "127.0.0.1:5000/team/worker"
DIGEST = f"sha256:{64 * 'a'}"

VALID = {
    f"{NAME}:1.4.0-slim": (NAME, ":1.4.0-slim"),
    f"{NAME}@{DIGEST}": (NAME, f"@{DIGEST}"),
    f"{NAME}:1.4.0-slim@{DIGEST}": (NAME, f"@{DIGEST}"),
    f"localhost/worker@{DIGEST}": ("localhost/worker", f"@{DIGEST}"),
    "Registry.example/worker:A": ("Registry.example/worker", ":A"),
    "oci:folder:1.4.0-slim": ("oci:folder", ":1.4.0-slim"),
    "oci:/a@b/c:d:1": ("oci:/a@b/c:d", ":1"),
    f"oci:Folder@{DIGEST}": ("oci:Folder", f"@{DIGEST}"),
}


@pytest.mark.parametrize("text", VALID)
def test_name_is_split_as_docker_does(text: str) -> None:
    """A digest decides; a tag before it is ignored."""
    assert names.split(text) == VALID[text]


REFUSED = {
    f"http://{NAME}:1": "not a repository: write it without http://",
    f"docker://{NAME}:1": "not a repository: write it without docker://",
    f"https://{NAME}@{DIGEST}": "not a repository: write it without https://",
    f"oci://{NAME}:1": "write a folder as oci:FOLDER, without //",
    "registry.example/Team/Worker:1": (
        "not a repository: use lower case: registry.example/team/worker"
    ),
    f"{NAME}@sha256:{64 * 'A'}": "write the digest in lower case",
    f"{NAME}:1.4.0-slim@SHA256:{64 * 'a'}": "write the digest in lower case",
    f"{NAME}@sha256:abc": "not a digest: use sha256: with 64 hexadecimal digits",
    f"{NAME}@sha512:{128 * 'a'}": "not a digest: use sha256: with 64 hexadecimal digits",
    f"{NAME}@": "not a digest: use sha256: with 64 hexadecimal digits",
    f"{NAME}:": "not a tag: use at most 128 letters, digits and . _ -",
    f"{NAME}:a+b@{DIGEST}": "not a tag: use at most 128 letters, digits and . _ -",
    f"{NAME}:{129 * '1'}": "not a tag: use at most 128 letters, digits and . _ -",
    NAME: "add :TAG or @DIGEST",
    f"{NAME}/:1": "not a repository: remove the slash at the end",
    "registry.example/team worker:1": "not a repository: remove the space",
    "registry.example:65536/worker:1": "not a repository: use a port from 1 to 65535",
    f"registry.example:{9 * '9'}/worker:1": "not a repository: use a port from 1 to 65535",
    "registry.example:0/worker:1": "not a repository: use a port from 1 to 65535",
    "team/worker:1": (
        "not a repository: use a name with its registry, such as registry.example/team/worker"
    ),
    "worker": (
        "not a repository: use a name with its registry, such as registry.example/team/worker"
    ),
    "": "not a repository: use a name with its registry, such as registry.example/team/worker",
    "registry.example/a..b:1": (
        "not a repository: use letters, digits, and single . _ - between them"
    ),
    "oci:folder@sha256:abc": "not a digest: use sha256: with 64 hexadecimal digits",
    f"oci:folder@sha256:{64 * 'A'}": "write the digest in lower case",
    "oci::1": "use oci:FOLDER:TAG or oci:FOLDER@DIGEST",
    "oci:folder": "use oci:FOLDER:TAG or oci:FOLDER@DIGEST",
}


@pytest.mark.parametrize("text", REFUSED)
def test_wrong_name_is_refused_with_the_reason(text: str) -> None:
    """The reason is not cut, however long the name is."""
    with pytest.raises(UsageError) as found:
        names.split(text)
    assert str(found.value) == f"{text!r}: {REFUSED[text]}"


def test_name_of_a_repository_has_no_tag_and_no_digest() -> None:
    assert names.name_fault(NAME) == ""
    for text in (f"{NAME}:1", f"{NAME}@{DIGEST}"):
        assert names.name_fault(text) == "write it without a tag or digest"
    path = "registry.example/" + "a" * 239
    assert names.name_fault(path[:255]) == ""
    assert names.name_fault(path) == "use at most 255 characters"
    with pytest.raises(UsageError, match=r"^--to 'a': not a repository: use a name with its "):
        names.check_name("a", "--to")
