"""The option --project of every command, and commands in messages as they are for a project."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from worker_images.errors import UsageError
from worker_images.model import tree

OPTION = "--project"
# The Makefile's targets that have a command, and behind "run: " also those of variants.
COMMAND = r"(accept|cluster|doctor|lock|test)(?:-([a-z_]+))?"
TARGET = re.compile(rf"\bmake {COMMAND}\b|(?<=run: )make ([a-z][a-z0-9-]*)")
# Targets of the checkout alone.
OF_CHECKOUT = {"setup", "lint", "bench", "clean"}
PROGRAM = re.compile(rf"\./build\.py (?!{OPTION}|engine\b)")


def split(argv: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
    """The folders that --project names before --, and the other arguments."""
    found, words, rest = [], [], list(argv)
    while rest and rest[0] != "--":
        word, equals, value = rest.pop(0).partition("=")
        if word != OPTION:
            words.append(f"{word}{equals}{value}")
        elif equals or not rest:
            found.append(value)
        else:
            found.append(rest.pop(0))
    return tuple(found), words + rest


def folder_of(named: Sequence[str]) -> Path:
    """The folder of the one project that is named; raises UsageError."""
    if len(named) != 1 or not named[0]:
        raise UsageError(f"{OPTION}: name the folder of one project, such as {OPTION} ../workers")
    return tree.of_option(Path(named[0]))


def prints_content(argv: Sequence[str]) -> bool:
    """Whether the result of a command is data or the content of files, which stays as it is."""
    options = {word.partition("=")[0] for word in argv}
    return bool(options & {"--json", "--print"} or {*argv[:1]} & {"accept", "changes"})


def with_option(text: str, folder: str) -> str:
    """A text in which each command works on a project instead of the checkout."""
    program = f"./build.py {OPTION} {shlex.quote(folder)} "

    def command(found: re.Match[str]) -> str:
        target, layer, variant = found.groups()
        if variant in OF_CHECKOUT:
            return found[0]
        words = f"--variant {variant}" if variant else " ".join(filter(None, (target, layer)))
        return program + words

    return TARGET.sub(command, PROGRAM.sub(lambda _: program, text))
