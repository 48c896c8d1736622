"""From photos, folders and videos to action units: `predictor.Predictor` is the door."""

from __future__ import annotations

__all__: list[str] = []
