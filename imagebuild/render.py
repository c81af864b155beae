"""Plan to Dockerfile text, by the templates under images/."""

import functools
import re
from pathlib import Path

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from imagebuild.errors import UsageError
from imagebuild.plan import Component, Plan

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


def dockerfile(plan: Plan, root: Path) -> str:
    """Render the whole image; raises UsageError where a template asks for what the plan has not."""
    return _render(plan, root, "Dockerfile.worker.j2")


def lockfile_builder(plan: Plan, root: Path) -> str:
    """Render the Dockerfile that resolves Go modules into go.mod and go.sum."""
    return _render(plan, root, "Dockerfile.lock.j2")


def _render(plan: Plan, root: Path, template: str) -> str:
    try:
        text = _environment(root).get_template(template).render(plan=plan)
    except jinja2.TemplateError as error:
        raise UsageError(f"rendering {plan.variant} ({plan.supply}): {error}; a pin or a template lacks it") from error
    return re.sub(r"\n{3,}", "\n\n", text)


def limits(plan: Plan, root: Path) -> tuple[str, ...]:
    """What this supply cannot give, in the words of the base's and the components' templates."""
    names = [f"base/{plan.supply}.j2", *(_template_name(plan, component) for component in plan.components)]
    modules = [_environment(root).get_template(name).module for name in names]
    return tuple(text for module in modules for text in getattr(module, "limits", ()))


def builder_packages(plan: Plan, component: Component, root: Path) -> tuple[str, ...]:
    """Debian packages that a component's stage needs beside the builder's."""
    module = _environment(root).get_template(_template_name(plan, component)).module
    return tuple(getattr(module, "builder_packages", ()))


def uses_cgo(plan: Plan, component: Component, root: Path) -> bool:
    """Whether a component's stage stands on the builder that also compiles C."""
    return bool(getattr(_environment(root).get_template(_template_name(plan, component)).module, "cgo", False))


def _template_name(plan: Plan, component: Component) -> str:
    return f"components/{component.name}/{plan.supply}.j2"
