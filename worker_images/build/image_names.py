"""Names of images on the command line."""

import re

# A registry's host and port, the path's parts, and the tag
# (https://pkg.go.dev/github.com/distribution/reference).
PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
HOST = r"(?:[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+(?::[0-9]+)?|[A-Za-z0-9-]+:[0-9]+|localhost)"
TAG = re.compile(rf"(?:{HOST}/)?{PART}(?:/{PART})*(?::[0-9A-Za-z_][0-9A-Za-z._-]{{0,127}})?")
REPOSITORY = re.compile(rf"{HOST}/{PART}(?:/{PART})*")
MAX_NAME_LENGTH = 255
IMAGE_ID = re.compile("[0-9a-f]{64}")


def is_name(tag: str) -> bool:
    """Return whether a tag is a valid image name: not too long, and not an image ID."""
    return len(tag) <= MAX_NAME_LENGTH and bool(TAG.fullmatch(tag)) and not IMAGE_ID.fullmatch(tag)


def is_repository(name: str) -> bool:
    """Return whether a name is that of a repository in a registry, without a tag."""
    return len(name) <= MAX_NAME_LENGTH and bool(REPOSITORY.fullmatch(name))
