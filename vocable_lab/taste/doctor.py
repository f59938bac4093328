"""Former name of the diagnostics, for entry points of an earlier installation."""

from vocable_lab.taste.diagnostics import TasteDiagnostics as TasteDoctor

__all__ = ["TasteDoctor"]
