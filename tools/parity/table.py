"""The rows as text for people and as JSON for programs."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from tools.parity.compare import LEVELS
from tools.parity.measure import Row

__all__ = ["document", "head", "line"]

WIDTHS = {"route": 16, "what": 36, "signature": 17, "number": 10, "presence": 9, "limit": 12}

LIBRARIES = (
    "tensorflow",
    "keras",
    "numpy",
    "ai-edge-litert",
    "kserve",
    "onnxruntime",
    "openvino",
    "tensorflow-serving-api",
    "tf2onnx",
)


def head() -> str:
    """The line above all rows."""
    names = ("intensity", "std.dev.", "prob.", "others")
    return (
        f"{'route':{WIDTHS['route']}}{'what answers':{WIDTHS['what']}}"
        f"{'signature':{WIDTHS['signature']}}"
        + "".join(f"{name:>{WIDTHS['number']}}" for name in names)
        + f"{'presence':>{WIDTHS['presence']}}{'limit':>{WIDTHS['limit']}}  verdict"
    )


def limit_text(row: Row) -> str:
    """The limit that counts."""
    limit = row.route.limit
    if limit.mean_intensity is not None:
        return f"mean {limit.mean_intensity:g}"
    return f"{limit.largest:g}"


def line(row: Row) -> str:
    """One row; differences are the largest of all faces and action units."""
    largest = row.differences.largest if row.differences else {}
    numbers: list[float | None] = [largest.get(name) for name in LEVELS]
    numbers.append(max((v for name, v in largest.items() if name not in LEVELS), default=None))
    presence = row.differences.presence if row.differences else None
    said = "; ".join(part for part in (row.verdict, row.wrong or row.skipped) if part)
    if row.route.limit.mean_intensity is not None and row.differences:
        said += f" (mean change of intensity {row.differences.mean_intensity:.2g})"
    return (
        f"{row.route.name:{WIDTHS['route']}}{row.route.what:{WIDTHS['what']}}"
        f"{row.signature:{WIDTHS['signature']}}"
        + "".join(f"{'' if v is None else f'{v:.1e}':>{WIDTHS['number']}}" for v in numbers)
        + f"{'' if presence is None else presence:>{WIDTHS['presence']}}"
        + f"{limit_text(row):>{WIDTHS['limit']}}  {said}"
    )


def versions() -> dict[str, str]:
    """Of the libraries that take part and are here."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def document(rows: Sequence[Row], fingerprint: str) -> dict[str, Any]:
    """Everything that was measured, in plain types.

    Args:
      rows: of the table.
      fingerprint: of the SavedModel.

    Returns:
      `versions`, `machine`, `fingerprint` and `rows`.
    """
    return {
        "versions": versions(),
        "machine": platform.machine(),
        "fingerprint": fingerprint,
        "rows": [
            {
                "route": row.route.name,
                "what": row.route.what,
                "signature": row.signature,
                "limit": row.route.limit._asdict(),
                "verdict": row.verdict,
                "reason": row.wrong or row.skipped,
                "differences": row.differences._asdict() if row.differences else None,
            }
            for row in rows
        ],
    }
