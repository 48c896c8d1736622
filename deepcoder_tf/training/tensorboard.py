"""What a run writes for TensorBoard: every term under its own name, pictures, the latent spaces."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorboard.plugins import projector

from deepcoder_tf.types import Gaussian

__all__ = ["TensorBoard"]


class TensorBoard:
    """Writes one run's events.

    Args:
      folder: of the events.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.writer = tf.summary.create_file_writer(str(folder))

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Scalars by name at an outer iteration."""
        with self.writer.as_default(step=step):
            for name, value in values.items():
                tf.summary.scalar(name, value)
        self.writer.flush()

    def reconstructions(self, images: np.ndarray, decoded: np.ndarray, step: int) -> None:
        """Originals above reconstructions.

        Args:
          images: `[B, H, W, 1]` in [-1, 1].
          decoded: the same.
          step: the outer iteration.
        """
        pairs = np.concatenate([images, np.clip(decoded, -1, 1)], axis=1)
        with self.writer.as_default(step=step):
            tf.summary.image("reconstructions", 0.5 * pairs + 0.5, max_outputs=8)
        self.writer.flush()

    def latents(
        self,
        codes: list[Gaussian],
        subjects: np.ndarray,
        labels: np.ndarray,
        action_units: tuple[str, ...],
    ) -> None:
        """The projector: the mean codes of every coder with subject and levels as metadata.

        Args:
          codes: of each coder, `[N, D]`.
          subjects: `[N]`.
          labels: `[N, Q]`.
          action_units: Q names.
        """
        metadata = self.folder / "metadata.tsv"
        header = "\t".join(["subject", *action_units])
        rows = [
            "\t".join([str(subject), *map(str, levels)])
            for subject, levels in zip(subjects, labels, strict=True)
        ]
        metadata.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
        config = projector.ProjectorConfig()
        for n, q in enumerate(codes):
            path = self.folder / f"Z{n}.tsv"
            np.savetxt(path, q.mean, fmt="%.5g", delimiter="\t")
            embedding = config.embeddings.add()
            embedding.tensor_name = f"Z{n}"
            embedding.tensor_path = path.name
            embedding.metadata_path = metadata.name
        projector.visualize_embeddings(str(self.folder), config)
