"""How a program went on after a message: with its work, or to its end."""

import re
from dataclasses import dataclass, field

from worker_images.node.explain import log_text, writers
from worker_images.node.explain.log_text import Block, line_of

# Lines of a program that does its work, or that ended well.
WENT_ON = (
    r"(?i:\b(?:epoch|step|iter(?:ation)?|batch)s?\b[ :=#\[/(]{1,3}\d|\bloss[ =:]{1,3}\d"
    r"|\btokens/s\b|\b200 OK\b|HTTP/1\.[01]\" 200\b|\b(?:completed?|finished|succeeded)\b"
    r"|\bsuccessfully\b|\bdone\b|\bstartup complete\b|\b(?:running|listening) (?:on|at)\b"
    r"|\bstarted (?:http )?server\b|\bserver (?:started|is ready)\b|\bready to serve\b)"
    r"|\b[Ee]xit(?:ed)?(?: with)?(?: (?:code|status))?[ :=]{1,9}0\b"
)
FAILED = (
    r"ChildFailedError|exitcode {0,9}: {0,9}-?[1-9]|CrashLoopBackOff|Segmentation fault"
    r"|core dumped|terminate called"
    r"|\b[Ee]xit(?:ed|ing)?(?: with)?(?: (?:[Cc]ode|status))?[ :=(]{1,12}[1-9]\d{0,2}\b"
)
OUTCOMES = {
    "went": re.compile(WENT_ON),
    "failed": re.compile(FAILED),
    "trace": re.compile(r"Traceback \(most recent call last\)"),
}
# Only the last line of an outcome is needed, so a block is searched from its end, in parts.
PART_CHARACTERS = 16 << 10
# How kubectl describe shows the ends of containers.
COMPLETED = re.compile(r"Reason: {1,20}Completed\n {1,20}Exit Code: {1,20}0\b")
EXIT_CODE = re.compile(r"Exit Code: {1,20}[1-9]")
# torch writes the rank before an exception that nothing caught; a summary after it is no work.
UNCAUGHT = re.compile(r"\[rank\d{1,5}\]: ")
SUMMARY = re.compile(r"wandb: |\[rank\d{1,5}\]:|\[[DIWE]\d{3,4} ")
# Words of a container that has a GPU.
WANTED = re.compile(
    r"nvproxy=true|NVProxy \(--nvproxy\): true|nvproxy: |nvidia\.com/|/dev/nvidia|--gpus\b"
    r"|NVIDIA_VISIBLE_DEVICES=(?!void|none)\S|[Ff]all(?:ing)? ?back to (?:the )?[Cc][Pp][Uu]"
    r"|\bcuda\.is_available\b"
)
# Every match of it contains one of these, for which a search is fast.
WANTED_WORDS = (
    "nvproxy",
    "NVProxy",
    "nvidia.com/",
    "/dev/nvidia",
    "--gpus",
    "NVIDIA_",
    "back to ",
    "cuda.",
)


@dataclass
class Outcomes:
    """The last line of each outcome, by file; whether the program should have a GPU; its end."""

    last: dict[tuple[str, str], int] = field(default_factory=dict)
    wants_gpu: bool = False
    completed: bool = False
    exited: bool = False

    def read(self, block: Block, *, is_needed: bool) -> None:
        """Find outcomes in a block; needed only after a message that a program can survive."""
        self.wants_gpu = self.wants_gpu or _wants_gpu(block.text)
        if "Exit Code:" in block.text:
            self.completed = self.completed or bool(COMPLETED.search(block.text))
            self.exited = self.exited or bool(EXIT_CODE.search(block.text))
        if not is_needed:
            return
        for kind, pattern in OUTCOMES.items():
            if match := _last(pattern, block.text, kind):
                lines = block.text.count("\n", 0, match.start())
                self.last[block.file, kind] = block.number + lines

    @property
    def ended_well(self) -> bool:
        """Whether the containers of a described pod have all completed, as far as they ended."""
        return self.completed and not self.exited

    def went_on(self, file: str, line: str, number: int) -> bool:
        """Whether the program went on after a line, and did not fail by it."""
        went, failed, trace = (
            self.last.get((file, kind), 0) for kind in ("went", "failed", "trace")
        )
        if went <= number or UNCAUGHT.search(line):
            return False
        # A later exception is another failure.
        return failed <= number or number < trace


def _wants_gpu(text: str) -> bool:
    return any(word in text for word in WANTED_WORDS) and bool(WANTED.search(text))


def _last(pattern: re.Pattern[str], text: str, kind: str) -> re.Match[str] | None:
    end = len(text)
    while end > 0:
        begin = text.rfind("\n", 0, max(end - PART_CHARACTERS, 0)) + 1
        matches = log_text.own(pattern.finditer(text, begin, end))
        found = [each for each in matches if kind != "went" or _is_work(each)]
        if found:
            return found[-1]
        end = begin
    return None


def _is_work(match: re.Match[str]) -> bool:
    line = line_of(match)
    is_other = writers.is_runtime(match, in_runsc_log=True) or SUMMARY.match(line)
    return not is_other and not log_text.ERROR.match(line)
