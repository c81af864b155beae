"""NVIDIA's Xid errors, as data from NVIDIA's catalog: what each is, and what it asks for."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

XIDS = Path(__file__).parent / "xids.json"
# Faults of the GPU or its links, errors of the program, and Xids that stop nothing by themselves.
# A cleanup follows a program's end; for the last class the catalog names no action.
FAULT, PROGRAM, NOTE, CLEANUP, UNSTATED = "fault", "program", "note", "cleanup", "unstated"
KNOWN = "known"


@cache
def catalog() -> Mapping[str, Mapping[str, tuple[str, str]]]:
    """The Xids of each class, by number: a description, and the name of the action."""
    rows = json.loads(XIDS.read_text(encoding="utf-8"))
    classes = (FAULT, PROGRAM, NOTE, CLEANUP, UNSTATED)
    return {
        name: {number: (row[0], row[1]) for number, row in rows[name].items()} for name in classes
    }


@cache
def actions() -> Mapping[str, str]:
    """What each action of the catalog means."""
    found: Mapping[str, str] = json.loads(XIDS.read_text(encoding="utf-8"))["actions"]
    return found


def numbers(name: str) -> str:
    """The numbers of a class, or of all classes with an action, as a part of a pattern."""
    classes = (FAULT, PROGRAM, NOTE, CLEANUP) if name == KNOWN else (name,)
    return "|".join(number for each in classes for number in catalog()[each])


def described(number: str) -> str:
    """What NVIDIA's catalog says of an Xid."""
    for rows in catalog().values():
        if number in rows:
            what, action = rows[number]
            return f"Xid {number}, {what}; NVIDIA's catalog: {actions()[action]}"
    return f"Xid {number}, which NVIDIA's catalog does not describe"
