"""Digests of the inputs of each image layer, which are the keys of the ledger."""

import json
from pathlib import Path

from worker_images.build import inputs, render
from worker_images.build.plan import Component, Plan
from worker_images.files import text_digest


def input_digests(plan: Plan, root: Path) -> dict[str, str]:
    """Return a digest for the base and for each component, in layer order."""
    base = [each.digest for each in plan.inputs if each.owner == inputs.BASE]
    found = {inputs.BASE: _digest(plan, base)}
    for component in plan.components:
        found[component.name] = _digest(plan, _of_component(plan, component, root))
    return found


def _of_component(plan: Plan, component: Component, root: Path) -> list[str]:
    argument = f"{component.argument}={component.reported_version}"
    digests = [each.digest for each in plan.inputs_of(component)]
    return [argument, render.stage(plan, component, root), *digests]


def _digest(plan: Plan, texts: list[str]) -> str:
    return text_digest(json.dumps([plan.epoch, plan.architecture, *texts]))
