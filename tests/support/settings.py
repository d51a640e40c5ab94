"""Settings for tests by the names of their fields, wherever those belong."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from scorer.jobs.policy import Resume, RunPolicy
from scorer.jobs.settings import Settings
from scorer.jobs.spec import OutputSpec


def settings_of(**given: Any) -> Settings:
    """Settings that differ from the usual ones in the fields `given`; resume=True: it must."""
    return changed(Settings(), **given)


def changed(before: Settings, **given: Any) -> Settings:
    """The same settings but for the fields `given`."""
    if isinstance(given.get("resume"), bool):
        given["resume"] = Resume.MUST if given["resume"] else Resume.NEVER
    spec = {name: given.pop(name) for name in _names(OutputSpec) & given.keys()}
    assert given.keys() <= _names(RunPolicy), given
    return Settings(replace(before.spec, **spec), replace(before.policy, **given))


def _names(kind: type[Any]) -> set[str]:
    return {item.name for item in fields(kind)}
