"""The commands of build.py. Each command imports its modules when it runs."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from worker_images import console
from worker_images.build import uptodate
from worker_images.build.record import Outcome, Record, default_tag
from worker_images.cli import projects
from worker_images.errors import ImageBuildError

Progress = Callable[[str], None]
# A command takes arguments, the folder of the checkout or the project, and a progress function; it
# returns text to print.
Command = Callable[[list[str], Path, Progress], str]


def _accept() -> Command:
    from worker_images.cli import chores

    return chores.accept


def _build() -> Command:
    from worker_images.cli import build

    return build.build


def _changes() -> Command:
    from worker_images.cli import changes

    return changes.command


def _cluster() -> Command:
    from worker_images.cli import cluster

    return cluster.command


def _compat() -> Command:
    from worker_images.cli import compat

    return compat.command


def _doctor() -> Command:
    from worker_images.build.doctor import survey

    return survey.command


def _engine() -> Command:
    from worker_images.cli import chores

    return chores.engine


def _fetch() -> Command:
    from worker_images.cli import inputs

    return inputs.fetch


def _gpu_kit() -> Command:
    from worker_images.build import kit

    return kit.command


def _lock() -> Command:
    from worker_images.cli import inputs

    return inputs.lock


def _manifests() -> Command:
    from worker_images.cli import manifests

    return manifests.command


def _release() -> Command:
    from worker_images.cli import release

    return release.publish


def _release_key() -> Command:
    from worker_images.cli import release

    return release.make_key


def _release_notes() -> Command:
    from worker_images.cli import release

    return release.write_notes


def _render() -> Command:
    from worker_images.cli import chores

    return chores.render


def _report() -> Command:
    from worker_images.cli import report

    return report.command


def _rollback() -> Command:
    from worker_images.cli import verify_release

    return verify_release.roll_back


def _test() -> Command:
    from worker_images.cli import chores

    return chores.test


def _update() -> Command:
    from worker_images.cli import update

    return update.command


def _verify_release() -> Command:
    from worker_images.cli import verify_release

    return verify_release.check


# Imported on use: `--print plan` must not wait for the modules that build.
COMMANDS: Mapping[str, Callable[[], Command]] = {
    "accept": _accept,
    "changes": _changes,
    "cluster": _cluster,
    "compat": _compat,
    "doctor": _doctor,
    "engine": _engine,
    "fetch": _fetch,
    "gpu-kit": _gpu_kit,
    "lock": _lock,
    "manifests": _manifests,
    "release": _release,
    "release-key": _release_key,
    "release-notes": _release_notes,
    "render": _render,
    "report": _report,
    "rollback": _rollback,
    "test": _test,
    "update": _update,
    "verify-release": _verify_release,
}
# Commands that change nothing.
READING = {"changes", "compat", "doctor", "manifests", "release-notes", "report", "verify-release"}


def main(argv: list[str], root: Path) -> int:
    """Run one command, on the checkout or on the project that it names; return its exit code."""
    named, words = projects.split(argv)
    if words[:1] == ["verify"]:
        from worker_images.node import cli

        options = [f"{projects.OPTION}={each}" for each in named]
        return cli.main(["verify", *options, *words[1:]], root, "./build.py")
    return console.main(
        "build.py", lambda: (0, _run_in(named, words, root)), interrupted("".join(words[:1]))
    )


def _run_in(named: Sequence[str], argv: list[str], root: Path) -> str:
    """Run a command; for a project, messages name commands that work on it."""
    if not named:
        return _run(argv, root, console.print_progress)
    folder, is_content = projects.folder_of(named), projects.prints_content(argv)

    def progress(text: str) -> None:
        console.print_progress(projects.with_option(text, named[0]))

    try:
        text = _run(argv, folder, progress)
    except ImageBuildError as error:
        error.args = (projects.with_option(str(error), named[0]),)
        if not is_content:
            error.output = projects.with_option(error.output, named[0])
        raise
    return text if is_content else projects.with_option(text, named[0])


def interrupted(command: str) -> str:
    """The text for Ctrl-C."""
    if command in READING:
        return "interrupted"
    again = "run the same command again"
    if command in {"release", "rollback"}:
        return f"interrupted; {again} to finish"
    return f"interrupted; {'' if command in COMMANDS else 'nothing was tagged; '}{again}"


def _run(argv: list[str], root: Path, progress: Progress) -> str:
    if record := uptodate.find_current(argv, root):
        progress(f"nothing to build: no input changed and the engine has {record.image_id}")
        return summary(Outcome(record, default_tag(record.variant), built=False, seconds=0.0))
    load = COMMANDS.get("".join(argv[:1]))
    command = (load or _build)()
    return command(argv[1:] if load else argv, root, progress)


def summary(outcome: Outcome) -> str:
    """Return the summary of a build."""
    record, tag = outcome.record, outcome.tag
    locked = f"packages locked on {record.resolved}; `make lock` updates them"
    resolved = locked if record.resolved else "packages current at build time, not locked"
    rows = [
        ("image", tag or "(not tagged)"),
        ("versions", ", ".join(f"{name} {value}" for name, value in record.versions.items())),
        ("image id", record.image_id),
        ("manifest", record.manifest_digest),
        ("size", _size(record)),
        ("engine", record.engine),
        ("time", f"{outcome.seconds:.1f} s" + ("" if outcome.built else ", nothing was built")),
        ("debian", resolved),
        *(("lacks", text) for text in record.lacks),
        (
            "next",
            (
                f'eval "$(./build.py engine env)" && docker run --rm {tag} runsc --version'
                if tag
                else "to test and tag it, run again without --no-test"
            ),
        ),
    ]
    return "\n".join(f"{name:9} {text}" for name, text in rows)


def _size(record: Record) -> str:
    packed = f"{record.size / 1e6:.1f} MB, {record.compressed_size / 1e6:.1f} MB compressed"
    return packed if record.compression == "gzip" else f"{packed} with {record.compression}"
