"""How good a system is: metrics, tables, figures, and the baselines it has to beat."""

from __future__ import annotations

__all__: list[str] = []
