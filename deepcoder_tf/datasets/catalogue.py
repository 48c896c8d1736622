"""One door to every reader: a data set on disk becomes its recordings and its folds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from deepcoder_tf.action_units import DISFA, FERA2015
from deepcoder_tf.datasets.disfa import read_disfa
from deepcoder_tf.datasets.fera2015 import read_fera2015
from deepcoder_tf.datasets.folds import (
    Fold,
    disfa_folds,
    fera2015_folds,
    grouped_folds,
    split_folds,
)
from deepcoder_tf.datasets.manifest import read_manifest
from deepcoder_tf.datasets.sources import Source

__all__ = ["DATASETS", "Catalogue", "read_catalogue"]

DATASETS = ("disfa", "fera2015", "manifest")
"""Names of the layouts that can be read."""


@dataclass(frozen=True)
class Catalogue:
    """A data set as the readers found it.

    Attributes:
      root: folder to which names of files are relative.
      action_units: the columns of the labels.
      sources: the recordings, sorted by subject.
      folds: all folds, the unusable ones too.
    """

    root: Path
    action_units: tuple[str, ...]
    sources: list[Source]
    folds: list[Fold]


def read_catalogue(
    dataset: str,
    path: Path,
    camera: str = "left",
    folds: int = 5,
    seed: int = 0,
    ignore_extra_labels: bool = False,
) -> Catalogue:
    """Reads a data set's layout and labels.

    Args:
      dataset: `"disfa"`, `"fera2015"` or `"manifest"`.
      path: the data set's folder, or the manifest.
      camera: which of DISFA's cameras, `"left"` or `"right"`.
      folds: number of folds of a manifest without a column `split`.
      seed: of the folds.
      ignore_extra_labels: leave out labels beyond the end of a video instead of refusing them.

    Returns:
      The recordings and the folds.

    Raises:
      UserError: lists everything that is wrong with the data.
      ValueError: an unknown data set.
    """
    if dataset == "disfa":
        sources = read_disfa(path, camera, ignore_extra_labels)
        return Catalogue(path, DISFA, sources, disfa_folds(subjects_of(sources), seed))
    if dataset == "fera2015":
        sources = read_fera2015(path, ignore_extra_labels)
        return Catalogue(path, FERA2015, sources, fera2015_folds(subjects_of(sources), seed))
    if dataset == "manifest":
        manifest = read_manifest(path, ignore_extra_labels)
        subjects = subjects_of(manifest.sources)
        chosen = (
            split_folds(manifest.split_of, seed)
            if manifest.split_of
            else grouped_folds(subjects, folds, seed)
        )
        return Catalogue(path.parent, manifest.action_units, manifest.sources, chosen)
    raise ValueError(f"data set {dataset!r} is not one of {', '.join(DATASETS)}")


def subjects_of(sources: list[Source]) -> list[str]:
    """The distinct subjects, sorted."""
    return sorted({source.subject for source in sources})
