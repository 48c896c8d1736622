"""What a run on expressions is made of. No TensorFlow and no flags here; see `options`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from deepcoder_tf.errors import UserError
from deepcoder_tf.options import Options, option

__all__ = ["EXPRESSION_SYSTEMS", "RecogniserConfig", "recogniser_preset"]

EXPRESSION_SYSTEMS = (
    "disentangled",
    "baseline",
    "expression_vgg16",
    "dlp_cnn",
    "ipa2lt",
    "gacnn",
)
"""The rows of the second paper's Table 1: the proposed network first, then the same without its
adversary, then those of other papers."""


@dataclass(frozen=True)
class RecogniserConfig(Options):
    """Everything that decides the numbers of a run on expressions. The defaults are the paper's.

    What the paper does not say (filters, steps, sizes of batches) has the values of the best run
    on validation pictures that a GPU trains in an hour.

    Raises:
      UserError: a value outside its range; the message names the option, the value and the range.
    """

    system: str = option(
        "disentangled",
        "row of Table 1 of Disentangling expression representations",
        choices=EXPRESSION_SYSTEMS,
    )
    # The shared encoder.
    trunk: str = option(
        "inception_resnet_v1",
        "shared encoder: inception_resnet_v1 or a network of keras.applications",
    )
    trunk_weights: str = option(
        "",
        "its weights: a path (of deepcoder-import-facenet, or Keras weights without top), imagenet "
        "to let Keras fetch them, or random",
    )
    trunk_endpoint: str = option("", "layer or endpoint where it ends; empty: its last features")
    trunk_frozen: str = option(
        "", "endpoint up to which its weights are constant; empty: all are trained"
    )
    trunk_width: float = option(
        1.0,
        "share of the published number of filters of inception_resnet_v1; below 1 only with random "
        "weights",
        low=0.01,
        high=1.0,
    )
    trunk_blocks: tuple[int, ...] = option(
        (5, 10, 5), "repeats of its blocks 35, 17 and 8; others only with random weights", low=1
    )
    picture_side: int = option(
        160,
        "side of the picture that it sees, pixels; with a decoder a multiple of 32",
        low=32,
        high=448,
    )
    # Branches, heads and decoder.
    branch_filters: tuple[int, ...] = option(
        (256, 256, 256, 256), "filters of each convolution of a branch; the last is the code", low=1
    )
    branch_kernels: tuple[int, ...] = option(
        (3, 3, 3, 3), "side of each of these convolutions, places of the map", low=1, high=9
    )
    decoder_filters: tuple[int, ...] = option(
        (256, 128, 64, 32, 16),
        "filters of the transposed convolutions of the decoder, but for the last, which gives the "
        "picture",
        low=1,
    )
    leak: float = option(0.2, "slope of the leaky ReLU below 0", low=0.0, high=1.0)
    dropout: float = option(
        0.0, "share of a code left out before the classifiers in a training step", low=0.0, high=0.9
    )
    # Terms (Eq. 3).
    targets: str = option(
        "majority",
        "what the classifiers learn: the majority's class, or the shares of the votes",
        choices=("majority", "votes"),
    )
    beta_reconstruction: float = option(
        0.0, "beta_1, weight of the reconstruction L_r; 0: no decoder", low=0.0
    )
    beta_expression: float = option(1.0, "beta_2, weight of the classification L_exp", low=0.0)
    beta_adversary: float = option(
        1.0,
        "beta_3, weight of the uniformity term L_adv_En; 0: the adversary only watches",
        low=0.0,
    )
    beta_identity: float = option(
        0.0,
        "weight of the classification of identities on the non-expression code; 0: none",
        low=0.0,
    )
    beta_identity_adversary: float = option(
        0.0,
        "weight of the uniformity term of identities on the expression code; 0: none",
        low=0.0,
    )
    # Other rows.
    vgg16_units: int = option(
        4096, "units of both fully connected layers of expression_vgg16", low=1, high=16384
    )
    dlp_weight: float = option(
        0.003,
        "lambda of dlp_cnn: twice the weight of the squared distance from the neighbours of the "
        "same class",
        low=0.0,
        high=100.0,
    )
    dlp_neighbours: int = option(
        20, "k of dlp_cnn: neighbours of the same class in a batch", low=1, high=1024
    )
    ipa2lt_start: float = option(
        0.9,
        "ipa2lt: probability at the start that an annotator says the latent truth",
        low=0.2,
        high=0.999,
    )
    ipa2lt_crowd: float = option(
        1.0,
        "ipa2lt: weight of what all votes say beside what the label says; 0: the label alone",
        low=0.0,
        high=100.0,
    )
    patch_endpoint: str = option(
        "",
        "gacnn: endpoint of inception_resnet_v1 whose map patches are cut from; empty: Block35, "
        "or the last map of another trunk",
    )
    patch_filters: int = option(
        64, "gacnn: filters of the convolution of a patch, and size of its code", low=1, high=512
    )
    # Training.
    optimizer: str = option("adam", "optimizer of all parts", choices=("sgd", "adam"))
    learning_rate: float = option(1e-4, "learning rate after the first hundred steps", low=0.0)
    learning_rate_end: float = option(
        0.0,
        "learning rate of the last step as a share of the first; falls linearly",
        low=0.0,
        high=1.0,
    )
    adversary_learning_rate: float = option(
        1e-3, "learning rate of the adversaries, constant", low=0.0
    )
    batch_size: int = option(64, "pictures in a step", low=2)
    iterations: int = option(20, "epochs at most", low=1)
    patience: int = option(
        5, "epochs without a better validation score before training ends", low=1
    )
    selection: str = option(
        "accuracy",
        "validation score that chooses the epoch; reconstruction: the smallest L_r, for a decoder "
        "that goes on learning long after the classes are told",
        choices=("accuracy", "balanced_accuracy", "log_loss", "reconstruction"),
    )
    balance_power: float = option(
        0.0,
        "pictures are drawn by (1 / frequency of the class) to this power; 0: uniformly, 1: all "
        "classes equally often",
        low=0.0,
        high=1.0,
    )
    clip_norm: float = option(1.0, "largest global norm of a gradient", low=1e-6)
    weight_decay: float = option(
        0.0,
        "share of a weight, times the learning rate, that a step takes off",
        low=0.0,
        high=100.0,
    )
    # Augmentation.
    augment_shift: float = option(
        0.05, "largest random shift, share of the side", low=0.0, high=0.5
    )
    augment_scale: float = option(0.1, "largest random change of size, share", low=0.0, high=0.5)
    augment_rotation: float = option(10.0, "largest random rotation, degrees", low=0.0, high=45.0)
    augment_contrast: float = option(
        0.3, "largest random change of contrast, share", low=0.0, high=0.9
    )
    augment_brightness: float = option(
        0.15, "largest random change of brightness, share of the range", low=0.0, high=1.0
    )
    augment_blur: float = option(
        0.0,
        "largest standard deviation of a random blur, pixels of the stored picture",
        low=0.0,
        high=1.0,
    )
    augment_flip: float = option(0.5, "share of the pictures that are mirrored", low=0.0, high=1.0)
    # The rest.
    fold: int = option(0, "prepared expressions have one split, of number 0", low=0.0, high=0)
    seed: int = option(0, "seed of every random number of the run", low=0.0, high=2**31 - 1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.picture_side % 32 and self.beta_reconstruction:
            raise UserError(
                f"--picture_side={self.picture_side} must be a multiple of 32 where a decoder "
                "makes pictures (--beta_reconstruction above 0)"
            )
        if self.selection == "reconstruction" and not (
            self.system == "disentangled" and self.beta_reconstruction
        ):
            raise UserError(
                "--selection=reconstruction needs a decoder: --system=disentangled and "
                "--beta_reconstruction above 0"
            )
        if len(self.branch_kernels) != len(self.branch_filters):
            raise UserError(
                f"--branch_filters and --branch_kernels have {len(self.branch_filters)} and "
                f"{len(self.branch_kernels)} entries; give as many of each"
            )
        if len(self.decoder_filters) != 5:
            raise UserError(
                f"--decoder_filters has {len(self.decoder_filters)} entries; the decoder has six "
                "transposed convolutions, of which the last gives the picture: give 5"
            )
        if len(self.trunk_blocks) != 3:
            raise UserError(f"--trunk_blocks has {len(self.trunk_blocks)} entries; give 3")


SMALL: dict[str, Any] = {
    "trunk_frozen": "Mixed_6a",
    "trunk_endpoint": "Mixed_6a",
    "picture_side": 96,
    "branch_filters": (256, 128, 128, 128),
    "branch_kernels": (1, 3, 3, 3),
    "decoder_filters": (128, 64, 32, 16, 8),
    "dropout": 0.3,
    "learning_rate": 1e-3,
    "iterations": 3,
}
"""The first half of the trunk, constant, at 96 pixels: some minutes on two cores for 25,000
pictures."""

ROWS: dict[str, dict[str, dict[str, Any]]] = {
    "expression_vgg16": {
        "paper": {"trunk": "vgg16", "picture_side": 224, "dropout": 0.5},
        "small": {
            "trunk": "vgg16",
            "trunk_endpoint": "",
            "trunk_frozen": "block4_pool",
            "picture_side": 48,
            "vgg16_units": 256,
        },
    }
}
"""What a preset has otherwise for some row."""


def recogniser_preset(name: str, **changes: Any) -> RecogniserConfig:
    """A configuration by name.

    Args:
      name: `paper` or `small` (trains in minutes on two cores).
      **changes: options that differ from the preset.

    Returns:
      The configuration.

    Raises:
      UserError: an unknown preset or a value outside its range.
    """
    presets: dict[str, dict[str, Any]] = {"paper": {}, "small": SMALL}
    if name not in presets:
        raise UserError(f"--preset={name}: recognisers of expressions have {', '.join(presets)}")
    row = ROWS.get(changes.get("system", ""), {}).get(name, {})
    return RecogniserConfig.from_mapping({**presets[name], **row, **changes})
