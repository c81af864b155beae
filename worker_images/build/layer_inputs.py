"""The digest of each layer's inputs, which is its key in the ledger."""

import json
from collections.abc import Sequence
from pathlib import Path

from worker_images.build import inputs, render
from worker_images.build.component import Component
from worker_images.build.plan import BELOW, Plan
from worker_images.files import text_digest


def input_digests(plan: Plan, root: Path) -> dict[str, str]:
    """Return a digest for the base's layer and for each component's, in layer order."""
    base = [each.digest for each in plan.inputs if each.owner == inputs.BASE]
    found = {inputs.BASE: _digest(plan, [*_stages(plan, BELOW[None], root), *base])}
    for component in plan.components:
        found[component.name] = _digest(plan, _of_component(plan, component, root))
    return found


def _of_component(plan: Plan, component: Component, root: Path) -> list[str]:
    below = BELOW[component.builder]
    if plan.runs_native(component):
        below = (inputs.NATIVE, *below)
    return [
        f"{component.argument}={component.reported_version}",
        *_stages(plan, below, root),
        render.macro(plan, root, component.template, "stage", component),
        render.macro(plan, root, "base/layer.j2", "copy", component),
        *(each.digest for each in plan.inputs_of(component)),
    ]


def _stages(plan: Plan, names: Sequence[str], root: Path) -> list[str]:
    template = f"base/{plan.source}.j2"
    return [render.macro(plan, root, template, f"{name}_stage") for name in names]


def _digest(plan: Plan, texts: list[str]) -> str:
    return text_digest(json.dumps([plan.file_time, plan.architecture, *texts]))
