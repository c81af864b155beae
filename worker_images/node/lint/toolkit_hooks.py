"""What the hooks of NVIDIA's toolkit change in the root before its program starts.

runsc runs those of the stage createContainer after it has made the mounts. NVIDIA container toolkit
1.20.1: cmd/nvidia-cdi-hook; earlier ones have the same commands in nvidia-ctk hook.
"""

from collections.abc import Iterator, Sequence

from worker_images.node.lint import view
from worker_images.node.lint.request import LaunchRequest

# The command that runs ldconfig; it follows each --folder.
REFRESH, FOLDER = "update-ldcache", "folder"
# The command that creates links; a --link is TARGET::PATH.
LINKS, LINK = "create-symlinks", "link"
# The command that runsc leaves to its own nvproxy.
PARAMETERS = "disable-device-node-modification"


def commands(request: LaunchRequest) -> Iterator[tuple[int, Sequence[str]]]:
    """Yield the index and the words of each hook of the stage createContainer that runsc runs.

    With a root of EROFS it runs none.
    """
    found = (request.specification.get("hooks") or {}).get("createContainer") or ()
    for index, hook in () if request.has_erofs_root else enumerate(found):
        path, words = hook["path"], hook.get("args") or ()
        is_skipped = path.endswith(view.CDI_HOOK) and PARAMETERS in words
        # nvidia-cdi-hook has no command `hook`, and then does nothing.
        is_empty = path.endswith(view.CDI_HOOK) and "hook" in words[1:2]
        if not (is_skipped or is_empty or path.endswith(view.LEGACY_HOOK)):
            yield index, words


def folders(request: LaunchRequest) -> Iterator[str]:
    """Yield the folders that hooks give to ldconfig."""
    for _, words in commands(request):
        if REFRESH in words:
            yield "/usr/lib"
            yield from _values(words, FOLDER)


def links(request: LaunchRequest) -> Iterator[tuple[int, str]]:
    """Yield each link that hooks create, as TARGET::PATH, with the index of its hook."""
    for index, words in commands(request):
        for value in _values(words, LINK) if LINKS in words else ():
            yield index, value


def _values(words: Sequence[str], option: str) -> Iterator[str]:
    """Yield the values of an option that may be repeated, and may have several after commas."""
    for word, following in zip(words, (*words[1:], ""), strict=True):
        name, equals, value = word.partition("=")
        if name in (f"-{option}", f"--{option}"):
            yield from (value if equals else following).split(",")
