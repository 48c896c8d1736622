"""gACNN: patches around landmarks and the whole face, each weighed by a gate of its own."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from deepcoder_tf.errors import UserError
from deepcoder_tf.layers.gated_patches import Gate, GatedPatches
from deepcoder_tf.models.expressions.baseline import Baseline
from deepcoder_tf.models.expressions.face_patches import (
    PATCH_PLACES,
    PATCHES,
    Grid,
    cut_patches,
    patch_points,
)
from deepcoder_tf.models.expressions.shapes import traced_shapes
from deepcoder_tf.models.expressions.system import ExpressionBatch, Losses, cross_entropy
from deepcoder_tf.models.trunks import FaceNetTrunk
from deepcoder_tf.recogniser_config import RecogniserConfig

__all__ = ["GatedAttention"]

LANDMARKS = 49

DEFAULT_TAP = "Block35"
"""Of Inception-ResNet-V1: 8 pixels from place to place, as the map of the paper has."""

GRIDS = {
    "Conv2d_4b_3x3": Grid(13.0, 8.0),
    "Block35": Grid(13.0, 8.0),
    "Mixed_6a": Grid(21.0, 16.0),
    "Block17": Grid(21.0, 16.0),
    "Mixed_7a": Grid(37.0, 32.0),
    "Block8": Grid(37.0, 32.0),
}
"""Of Inception-ResNet-V1, whose strided convolutions have no padding: their places do not reach
the edge of the picture."""


@keras.saving.register_keras_serializable("deepcoder_tf")
class GatedAttention(Baseline):
    """The baseline's branch behind a gate, and 24 gated patches of an earlier map.

        code_exp = [gate_1 code_1, ..., gate_24 code_24, gate_0 B_exp(En_base(x))]

    A face that was not found has the mean landmarks of the training pictures.

    Differs from the paper: the trunk is that of every row of this table, not VGG16 (which is
    --trunk=vgg16 --trunk_endpoint=block4_conv2; patches and whole face are then read off the same
    map); the whole face is coded by the branch of the other rows; the head is linear, where the
    paper has one more dense layer; see `GatedPatches` for the patches.

    Args:
      config: a `RecogniserConfig`, or its fields as a mapping; `patch_endpoint` is the map that
        patches are cut from, `patch_filters` the size of their codes.
      size: S, side of the stored pictures, pixels.
      channels: of the stored pictures.
      identities: number of people in the training pictures.

    Attributes:
      patches: the 24 patch-gated units.
      gate: of the whole face.
      mean_landmarks: `[49, 2]` pixels of the stored picture.

    Raises:
      ValueError: a map that the trunk does not have.

    Source: Li, Zeng, Shan and Chen, Occlusion aware facial expression recognition using CNN with
    attention mechanism, IEEE Transactions on Image Processing 2019.
    """

    needs_landmarks = True

    def __init__(
        self,
        config: RecogniserConfig | dict,
        size: int,
        channels: int,
        identities: int = 0,
        **kwargs,
    ) -> None:
        super().__init__(config, size, channels, identities, **kwargs)
        self.tap = self.known_tap()
        self.patches = GatedPatches(PATCHES, self.config.patch_filters, name="patches")
        self.gate = Gate(1, name="gate")

    def known_tap(self) -> str:
        """The endpoint that patches are cut from; empty is the trunk's last map."""
        given = self.config.patch_endpoint
        if not isinstance(self.trunk, FaceNetTrunk):
            if given:
                raise ValueError(
                    f"--patch_endpoint={given} is of inception_resnet_v1; of {self.config.trunk} "
                    "patches are cut from the last map: say which with --trunk_endpoint"
                )
            return ""
        if given and given not in GRIDS:
            raise ValueError(f"--patch_endpoint={given}: choose one of {', '.join(GRIDS)}")
        return given or DEFAULT_TAP

    @property
    def code_size(self) -> int:
        """Size of the code: that of all patches and of the whole face."""
        return PATCHES * self.config.patch_filters + self.config.branch_filters[-1]

    def build(self, input_shape=None) -> None:
        """Creates every weight."""
        super().build(input_shape)
        (*_, local), (*_, whole) = traced_shapes(self.maps, self.config.picture_side)
        self.patches.build((None, PATCHES, PATCH_PLACES, PATCH_PLACES, local))
        self.gate.build((None, 1, whole))
        self.mean_landmarks = self.add_weight(
            shape=(LANDMARKS, 2), initializer="zeros", trainable=False, name="mean_landmarks"
        )

    def maps(self, pictures: tf.Tensor, training: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
        """The map that patches are cut from, and the trunk's last, of `[B, side, side, 3]`."""
        if not self.tap:
            last = self.features(pictures, training)
            return last, last
        return self.trunk.passing(pictures, self.tap, training)

    def grid(self, local: tf.Tensor) -> Grid:
        """Where the places of the patches' map lie in the picture."""
        if self.tap:
            return GRIDS[self.tap]
        # Keras' networks pad: their places divide the picture into equal parts.
        step = self.config.picture_side / local.shape[2]
        return Grid((step - 1.0) / 2.0, step)

    def centres(self, landmarks: tf.Tensor) -> tf.Tensor:
        """The 24 points `[B, 24, 2]` in pixels of the picture that the network sees."""
        found = tf.reduce_all(tf.math.is_finite(landmarks), axis=[1, 2], keepdims=True)
        known = tf.where(found, landmarks, tf.convert_to_tensor(self.mean_landmarks))
        share = (patch_points(known, self.size) + 0.5) / self.size
        return share * self.config.picture_side - 0.5

    def gated(
        self, pictures: tf.Tensor, landmarks: tf.Tensor | None, training: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The code `[B, D]`, and the gates `[B, 25]`, the whole face's last.

        Raises:
          ValueError: no landmarks.
        """
        if landmarks is None:
            raise ValueError("gACNN needs the landmarks of every picture")
        local, whole = self.maps(pictures, training)
        side = self.config.picture_side
        cut = cut_patches(local, self.centres(landmarks), side, self.grid(local))
        codes, gates = self.patches(cut)
        gate = self.gate(tf.reduce_mean(whole, axis=[1, 2])[:, tf.newaxis])
        flat = tf.reshape(codes, (-1, PATCHES * self.config.patch_filters))
        code = tf.concat([flat, gate * self.branch(whole)], axis=-1)
        return code, tf.concat([gates, gate], axis=-1)

    def codes(
        self, pictures: tf.Tensor, landmarks: tf.Tensor | None = None
    ) -> dict[str, tf.Tensor]:
        """See `ExpressionSystem.codes`."""
        return {"expression": self.gated(pictures, landmarks)[0]}

    def gates(self, pictures: tf.Tensor, landmarks: tf.Tensor) -> tf.Tensor:
        """How much each patch counts, `[B, 25]` in 0..1, the whole face's last."""
        return self.gated(pictures, landmarks)[1]

    def losses(self, batch: ExpressionBatch, seed: tf.Tensor) -> Losses:
        """`expression`, the cross-entropy."""
        code, _ = self.gated(batch.pictures, batch.landmarks, training=True)
        logits = self.head(self.drop(code, seed))
        return {"network": {"expression": tf.reduce_mean(cross_entropy(batch.targets, logits))}}

    def start(self, labels: np.ndarray, landmarks: np.ndarray | None) -> None:
        """See `ExpressionSystem.start`; takes the mean landmarks too.

        Raises:
          UserError: no landmarks are stored, or no face was found in any picture.
        """
        if landmarks is None:
            raise UserError(
                "--system=gacnn needs landmarks, and the prepared folder has none: prepare it "
                "again with deepcoder-prepare --store_landmarks"
            )
        known = np.asarray(landmarks)[np.isfinite(landmarks).all(axis=(1, 2))]
        if not len(known):
            raise UserError(
                "--system=gacnn needs landmarks, and no face was found in any training picture; "
                "prepare larger or other pictures with deepcoder-prepare --store_landmarks"
            )
        super().start(labels, landmarks)
        self.mean_landmarks.assign(known.mean(axis=0))
