"""Who wrote a line: the runtime, which starts and serves a container, or the program in it."""

import re

from worker_images.node.explain.log_text import Block, line_start
from worker_images.node.explain.logs import NAME, STAMP

LINE_CHARACTERS = 4000
# Words of runsc, and of what starts a container, before the reason of a failure.
RUNTIME = re.compile(
    r"FATAL ERROR|\brunsc\b|\bgofer\b|\bsentry\b|nvproxy: |OCI runtime|containerd-shim"
    r"|(?:creating|starting|restoring) (?:root )?(?:container|sandbox|process)"
    r"|cannot create (?:sandbox|gofer)|[Ff]ailed to (?:create (?:pod sandbox|shim|containerd|task)"
    r"|start container)|FailedCreatePodSandBox|RunContainerError|Error response from daemon"
    r"|/proc/self/exe|\b(?:containerd|dockerd)\[\d{1,9}\]:|^\{\"log\":\"[\w-]{1,40}\.go:\d"
    # runc's own words for a container's program, which are all of the container's output.
    r"|^(?:standard_init_linux\.go:\d{1,5}: )?exec (?:/[^\s:]{1,200}|user process caused):"
)
# A line of Go's glog, as runsc writes it, and other programs too.
GLOG = re.compile(
    r"[DIWEF]\d{4} \d\d:\d\d:\d\d\.\d{1,9} {1,9}\d{1,9} [\w.-]{1,60}\.go:\d"
    # Go's runtime writes these without a header.
    r"|(?:fatal error|panic|runtime): "
)
# Only a log of runsc has this.
BANNER = re.compile(
    r"\*{4} gVisor \*{4}|Version release-\d{8}\.\d|\bArgs: \[[^\n ]{0,300}runsc"
    r"|\bgvisor\.dev/gvisor/"
)
# Every match of it contains one of these, for which a search is fast.
BANNER_WORDS = ("* gVisor *", "Version release-", "Args: [", "gvisor.dev/gvisor/")


def is_runsc_log(block: Block) -> bool:
    """Whether runsc wrote the file of a block."""
    name = block.file.rpartition("/")[2]
    if STAMP.search(name) or NAME.fullmatch(name):
        return True
    return any(word in block.text for word in BANNER_WORDS) and bool(BANNER.search(block.text))


def is_runtime(match: re.Match[str], *, in_runsc_log: bool) -> bool:
    """Whether the runtime, not the container's program, wrote the line of a match."""
    begin = max(line_start(match), match.start() - LINE_CHARACTERS)
    line = match.string[begin : match.end()]
    return bool(RUNTIME.search(line)) or (in_runsc_log and bool(GLOG.match(line)))
