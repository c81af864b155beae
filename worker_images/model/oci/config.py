"""The configuration of an image, with the types that its readers rely on.

https://github.com/opencontainers/image-spec/blob/v1.1.1/config.md
"""

from collections.abc import Mapping

from worker_images.model.oci.image import ImageError
from worker_images.untrusted import UntrustedError, check_spelling

CONFIG = frozenset(
    {
        "architecture",
        "author",
        "config",
        "created",
        "history",
        "os",
        "os.features",
        "os.version",
        "rootfs",
        "variant",
    }
)
SETTINGS = frozenset(
    {
        "ArgsEscaped",
        "Cmd",
        "Domainname",
        "Entrypoint",
        "Env",
        "ExposedPorts",
        "Healthcheck",
        "Hostname",
        "Labels",
        "NetworkDisabled",
        "OnBuild",
        "Shell",
        "StopSignal",
        "StopTimeout",
        "User",
        "Volumes",
        "WorkingDir",
    }
)
ROOTFS = frozenset({"type", "diff_ids"})
LISTS = ("Env", "Entrypoint", "Cmd", "OnBuild", "Shell")


def diff_ids(config: Mapping[str, object]) -> list[str]:
    """The digests of the unpacked layers that a configuration names."""
    rootfs = config.get("rootfs")
    named = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    return [str(digest) for digest in named] if isinstance(named, list) else []


def check(config: object) -> None:
    """Refuse a configuration that a reader may misread; raises ImageError."""
    try:
        _check(config)
    except UntrustedError as error:
        raise ImageError(f"configuration: {error}") from error


def _check(config: object) -> None:
    if not isinstance(config, dict):
        raise UntrustedError("not an object")
    settings, rootfs = config.get("config") or {}, config.get("rootfs") or {}
    history = config.get("history") or []
    for name, found, known in (
        ("configuration", config, CONFIG),
        ("config", settings, SETTINGS),
        ("rootfs", rootfs, ROOTFS),
    ):
        if not isinstance(found, dict):
            raise UntrustedError(f"{name} is not an object")
        check_spelling(found, known)
    if not isinstance(history, list) or not all(isinstance(step, dict) for step in history):
        raise UntrustedError("history is not a list of objects")
    for key in LISTS:
        if not _is_list_of_text(settings.get(key) or []):
            raise UntrustedError(f"{key} is not a list of strings")
    labels = settings.get("Labels") or {}
    if not isinstance(labels, dict) or not _is_list_of_text(list(labels.values())):
        raise UntrustedError("Labels is not a map of strings")
    for key in ("User", "WorkingDir"):
        if not isinstance(settings.get(key) or "", str):
            raise UntrustedError(f"{key} is not a string")


def _is_list_of_text(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)
