"""Plan to Dockerfile text, by the templates under images/."""

import functools
import re
from pathlib import Path

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from worker_images.build.plan import Component, Plan
from worker_images.errors import UsageError
from worker_images.model.drivers import contract

COMMITTED = "Dockerfile.worker"


@functools.cache
def _environment(root: Path) -> ImmutableSandboxedEnvironment:
    return ImmutableSandboxedEnvironment(
        loader=jinja2.FileSystemLoader(root / "images"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )


def dockerfile(plan: Plan, root: Path, template: str = "Dockerfile.worker.j2") -> str:
    """Render a Dockerfile, the whole image's by default.

    Raises UsageError where a template asks for what the plan has not.
    """
    drivers = {name: row.supported for name, row in contract.rows(root, plan.components).items()}
    try:
        text = _environment(root).get_template(template).render(plan=plan, drivers=drivers)
    except jinja2.TemplateError as error:
        raise UsageError(
            f"rendering {plan.variant} ({plan.supply}): {error}; a pin or a template lacks it"
        ) from error
    return re.sub(r"\n{3,}", "\n\n", text)


def limits(plan: Plan, root: Path) -> tuple[str, ...]:
    """What this supply cannot give, in the words of the base's and the components' templates."""
    folders = ["base", *(f"components/{component.name}" for component in plan.components)]
    return tuple(
        text for folder in folders for text in getattr(_module(plan, root, folder), "limits", ())
    )


def builder_packages(plan: Plan, component: Component, root: Path) -> tuple[str, ...]:
    """Debian packages that a component's stage needs beside the builder's."""
    return tuple(
        getattr(_module(plan, root, f"components/{component.name}"), "builder_packages", ())
    )


def architectures(plan: Plan, component: Component, root: Path) -> tuple[str, ...]:
    """What a component can be built for."""
    return tuple(
        getattr(_module(plan, root, f"components/{component.name}"), "architectures", ("amd64",))
    )


def uses_cgo(plan: Plan, component: Component, root: Path) -> bool:
    """Whether a component's stage stands on the builder that also compiles C."""
    return bool(getattr(_module(plan, root, f"components/{component.name}"), "cgo", False))


def _module(plan: Plan, root: Path, folder: str) -> object:
    """What a template sets for its reader here."""
    return _environment(root).get_template(f"{folder}/{plan.supply}.j2").module
