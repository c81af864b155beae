"""What a release did with a variant."""

from dataclasses import asdict, dataclass

from worker_images.release.drafts import Draft
from worker_images.release.examine import Verified
from worker_images.release.floating import CHANGED, Floating
from worker_images.release.request import Request

ALREADY, TAGGED = "already released", "already tagged"


@dataclass(frozen=True)
class Outcome:
    """A variant of a release. `verified` is None for a dry run.

    `kept` says why the floating tag does not name the release; it is empty if it does.
    """

    draft: Draft
    verified: Verified | None
    done: str
    floating: Floating
    kept: str

    def text(self, options: Request) -> str:
        """The result for people."""
        tags = [self.draft.tag, *([] if self.kept else [self.draft.variant])]
        names = ", ".join(f"{options.target}:{tag}" for tag in tags)
        rows = [(self.done, names), ("index", self.draft.digest)]
        rows += [
            ("image", f"{part.candidate.architecture} {part.candidate.digest}")
            for part in self.draft.parts
        ]
        rows += [("floating tag", f"{self.floating.text}: {self.kept}")] if self.kept else []
        if self.kept not in {"", CHANGED}:
            words = f"--registry {options.target} --variant {self.draft.variant}"
            words += f" --to {options.version} {options.verifier}"
            rows.append(("to move it", f"./build.py rollback {words}"))
        return "\n".join(f"{name:16} {text}" for name, text in rows)

    def as_data(self) -> dict[str, object]:
        """Plain data for JSON."""
        return {
            "variant": self.draft.variant,
            "tag": self.draft.tag,
            "result": self.done,
            "index": self.draft.digest,
            "floating": {**asdict(self.floating), "kept": self.kept},
            "images": {
                part.candidate.architecture: part.candidate.digest for part in self.draft.parts
            },
        }
