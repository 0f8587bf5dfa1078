"""The families: shapes of prediction, one file each."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

from trainers.tasks.spec import FamilyName

if TYPE_CHECKING:
    from trainers.families.base import Family


def family(name: FamilyName) -> Family:
    """The family called ``name``; torch is imported only now."""
    return cast("Family", import_module(f"{__name__}.{FamilyName(name).value}").FAMILY)
