"""Faults planted into good INFs, one module a family of rules; tests/acceptance/test_seeded_faults.py runs them."""

import importlib
import pkgutil

from seeded.fault import Fault


def all_faults() -> list[Fault]:
    """The FAULTS of every module here."""
    modules = (importlib.import_module(f"seeded.{module.name}") for module in pkgutil.iter_modules(__path__))
    return [fault for module in modules for fault in getattr(module, "FAULTS", ())]
