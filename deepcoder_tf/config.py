"""What a run on action units is made of. No TensorFlow and no flags here; see `options`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from deepcoder_tf.errors import UserError
from deepcoder_tf.options import Options, option

__all__ = [
    "FEATURE_SYSTEMS",
    "NETWORKS",
    "STACKS",
    "SYSTEMS",
    "CoderSpec",
    "Config",
    "parse_coders",
    "preset",
]

CODER_KINDS = ("conv", "dense", "gp")

STACKS = ("2dc", "dcp")
"""Systems that are stacks of coders."""

NETWORKS = ("cnn", "or_cnn", "vgg16")
"""Systems that are networks trained by likelihood alone."""

FEATURE_SYSTEMS = ("vogpae", "vae_dgp", "gp", "sor", "mlr")
"""Systems that see features instead of pixels."""

SYSTEMS = (*STACKS, *NETWORKS, *FEATURE_SYSTEMS)
"""The rows of the paper's Table 1."""


class CoderSpec(NamedTuple):
    """One coder of the stack.

    Attributes:
      kind: `conv`, `dense` or `gp`.
      latent_dim: number of latent dimensions.
    """

    kind: str
    latent_dim: int


def parse_coders(text: str) -> tuple[CoderSpec, ...]:
    """Reads a stack such as `conv:2000,gp:50`, top first.

    Args:
      text: comma-separated `kind:latent_dim`.

    Returns:
      The specifications.

    Raises:
      UserError: an unknown kind, a size that is no positive number, a stack that does not begin
        with `conv`, or a second `conv`.

    >>> parse_coders("conv:2000,gp:50")
    (CoderSpec(kind='conv', latent_dim=2000), CoderSpec(kind='gp', latent_dim=50))
    """
    specs = []
    for part in text.split(","):
        kind, _, size = part.strip().partition(":")
        if kind not in CODER_KINDS or not size.isdigit() or int(size) < 1:
            raise UserError(
                f"--coders={text}: {part!r} is not KIND:SIZE with KIND one of "
                f"{', '.join(CODER_KINDS)} and a positive SIZE; for example conv:2000,gp:50"
            )
        specs.append(CoderSpec(kind, int(size)))
    if [spec.kind for spec in specs].count("conv") != 1 or specs[0].kind != "conv":
        raise UserError(f"--coders={text}: a stack has one conv coder and begins with it")
    if any(spec.kind == "gp" for spec in specs[:-1]):
        raise UserError(f"--coders={text}: a gp coder can only stand last")
    return tuple(specs)


@dataclass(frozen=True)
class Config(Options):
    """Everything that decides the numbers of a run. The defaults are the paper's sizes.

    Raises:
      UserError: a value outside its range; the message names the option, the value and the range.
    """

    # What is trained.
    system: str = option(
        "2dc",
        "row of the paper's Table 1; 2dc and dcp are the stack that --coders names",
        choices=SYSTEMS,
    )
    features: str = option(
        "deep",
        "what a system of features sees: the last layer of the cnn, or LBP and landmarks",
        choices=("deep", "lbp"),
    )
    features_from: str = option(
        "", "folder of a trained cnn of the same fold for --features=deep; empty: train one first"
    )
    # The stack.
    coders: str = option("conv:2000,gp:50", "coders, top first, as KIND:LATENT_DIM")
    # The convolutional coder (VC-AE).
    image_height: int = option(
        240, "rows of the model's input, pixels; divides 240", low=8, high=240
    )
    image_width: int = option(
        160, "columns of the model's input, pixels; divides 160", low=8, high=160
    )
    filters: tuple[int, ...] = option((128, 64, 32, 16, 8), "filters of each convolution", low=1)
    pools: tuple[int, ...] = option(
        (1, 1, 1, 1, 0), "1 where a 2x2 max pooling follows the convolution", low=0, high=1
    )
    kernel_size: int = option(5, "side of the convolutions, pixels; 3 or 5", low=3, high=5)
    label_head: str = option(
        "softmax", "label head on the codes of a parametric coder", choices=("softmax", "ordinal")
    )
    bottom_head: str = option(
        "ordinal",
        "label head of a parametric coder at the bottom of a stack",
        choices=("softmax", "ordinal"),
    )
    dropout: float = option(
        0.0,
        "share of the features of a conv coder or a network left out in a training step",
        low=0.0,
        high=0.9,
    )
    pixel_path: int = option(
        0,
        "1: the code of the conv coder is read off the pixels too; 0: as in the paper",
        low=0,
        high=1,
    )
    dense_units: int = option(
        500, "hidden units of a dense coder, or of a recognition map of vae_dgp", low=1
    )
    # The networks (cnn, or_cnn, vgg16).
    cnn_filters: tuple[int, ...] = option(
        (64, 64, 128), "filters of each convolution of the cnn and the or_cnn", low=1
    )
    cnn_kernels: tuple[int, ...] = option(
        (5, 5, 4), "side of each of these convolutions, pixels", low=1, high=11
    )
    cnn_pools: tuple[int, ...] = option(
        (1, 0, 1), "1 where a 3x3 max pooling of stride 2 follows the convolution", low=0, high=1
    )
    cnn_features: int = option(
        2000, "units of the last layer of the cnn, which are the deep features", low=1
    )
    vgg16_weights: str = option(
        "",
        "ImageNet weights of VGG16: a path of Keras weights (.h5 or .weights.h5, with or without "
        "the top), or imagenet to let Keras fetch them",
    )
    vgg16_side: int = option(
        224,
        "side of the square picture that VGG16 sees, pixels; the fully connected layers of "
        "ImageNet fit 224 alone",
        low=32,
        high=448,
    )
    vgg16_units: int = option(
        4096,
        "units of both fully connected layers of VGG16; those of ImageNet have 4096",
        low=1,
    )
    weight_decay: float = option(
        5e-4, "weight of half the squared kernels in the loss of a network", low=0.0
    )
    # Systems of features.
    lbp_rows: int = option(
        6, "cells down the picture in which local binary patterns are counted", low=1, high=24
    )
    lbp_columns: int = option(4, "cells across it", low=1, high=16)
    mlr_penalty: float = option(
        0.0, "ridge penalty of mlr per training frame, standardised features; 0: none", low=0.0
    )
    sor_link: str = option(
        "probit", "distribution behind the levels of sor", choices=("probit", "logit")
    )
    sor_penalty: float = option(
        1.0, "1 / variance of the prior of sor's weights, standardised features", low=0.0
    )
    gp_kernel: str = option(
        "rbf",
        "kernel of --system=gp: one lengthscale for all standardised features, or one for each",
        choices=("rbf", "rbf_ard"),
    )
    # The Gaussian-process coder (VO-GPAE).
    gp: str = option(
        "minibatch",
        "blocks of --gp_block frames of X_L, X_L at once, or inducing points and all frames",
        choices=("minibatch", "exact", "sparse"),
    )
    gp_points: int = option(
        5000, "frames in X_L, the subset that the GP is trained on", low=8, high=20000
    )
    overlap: int = option(
        0,
        "1: the parametric coders train on X_L too; 0: X_R and X_L have no frame in common",
        low=0,
        high=1,
    )
    gp_block: int = option(
        500, "frames in a block of the minibatch GP or a batch of the sparse GP", low=4, high=20000
    )
    gp_inducing: int = option(
        512, "inducing frames of the encoder of the sparse GP", low=4, high=20000
    )
    gp_inducing_decoder: int = option(
        256, "inducing codes of the decoder of the sparse GP", low=4, high=20000
    )
    gp_init: str = option(
        "pca", "start of the variational means M", choices=("labels", "pca", "random")
    )
    gp_lengthscale: float = option(
        1.0, "start of the encoder's lengthscales in median distances of X_L", low=0.01, high=100.0
    )
    expectation: str = option(
        "quadrature",
        "ordinal term: Gauss-Hermite, or one sample as in Eq. 20",
        choices=("quadrature", "sample"),
    )
    gp_head_steps: int = option(
        0,
        "L-BFGS iterations that solve for the ordinal head of the GP coder after an epoch; "
        "0: it moves with the other parameters only",
        low=0,
        high=1000,
    )
    gp_head_codes: str = option(
        "own",
        "codes that --gp_head_steps solve for: as the GP makes them of its own frames, or without "
        "the frames of the same subject, as for people whom it never saw (better log-score and "
        "calibration, lower ICC)",
        choices=("own", "left_out"),
    )
    gp_head_prior: float = option(
        10.0, "standard deviation of the prior of an ordinal weight of the GP coder", low=1e-3
    )
    ordinal_weight: float = option(1.0, "weight of the label term of a GP coder", low=0.0)
    z0_uncertainty: str = option(
        "mean",
        "the GP decoder explains the mean of Z0, or its whole posterior",
        choices=("mean", "expected"),
    )
    tie_variance: str = option(
        "loo_calibrated",
        "variance of the tied prior: per dimension by leave-one-out, or shared as in the paper",
        choices=("loo_calibrated", "shared"),
    )
    test_variance: str = option(
        "gp+meanS",
        "variance of q(Z1) at a new frame: with the mean of S, without, or with S propagated",
        choices=("gp+meanS", "gp", "gp+propagated"),
    )
    # The deep Gaussian process on features (VAE-DGP); --dense_units, --gp_init, --gp_block,
    # --gp_optimizer, --gp_learning_rate and --ordinal_weight are its options too.
    dgp_latents: tuple[int, ...] = option(
        (50, 50), "latent dimensions of each layer of vae_dgp, from the features upwards", low=1
    )
    dgp_inducing: int = option(
        100, "inducing points of each GP of vae_dgp; a step costs their square", low=2, high=1000
    )
    # Algorithm 1.
    iterations: int = option(50, "outer iterations of Algorithm 1 at most", low=1)
    init_epochs: int = option(5, "epochs of each coder before the first outer iteration", low=0)
    epochs_per_iteration: int = option(
        1, "epochs of a parametric coder in an outer iteration", low=1
    )
    gp_init_steps: int = option(50, "steps of the GP coder before the first outer iteration", low=0)
    gp_steps: int = option(
        0, "steps of the GP coder in an outer iteration; 0: one epoch of its frames", low=0
    )
    warmup_iterations: int = option(
        20, "outer iterations over which alpha and beta grow to 1 (N_t)", low=1
    )
    tie: int = option(
        1, "1: tie the prior of Z0 to the GP's predictions (Eq. 4); 0: N(0, I)", low=0, high=1
    )
    tolerance: float = option(
        1e-3, "relative change of the 3-iteration mean of the bound that ends training", low=0.0
    )
    patience: int = option(
        10, "iterations without a better validation score before training ends", low=1
    )
    selection: str = option(
        "icc", "validation score that chooses the model", choices=("icc", "ordinal_log_score")
    )
    # Steps.
    batch_size: int = option(32, "images in a step of a parametric coder", low=1)
    optimizer: str = option("sgd", "optimizer of the parametric coders", choices=("sgd", "adam"))
    learning_rate: float = option(0.01, "learning rate of the parametric coders", low=0.0)
    learning_rate_end: float = option(
        1.0,
        "learning rate of the last iteration as a share of the first; falls linearly",
        low=0.0,
        high=1.0,
    )
    shrinkage: float = option(
        0.0,
        "share of a weight of a parametric coder, times the learning rate, that a step takes off",
        low=0.0,
        high=100.0,
    )
    gp_optimizer: str = option("adam", "optimizer of the GP coder", choices=("sgd", "adam"))
    gp_learning_rate: float = option(0.01, "learning rate of the GP coder", low=0.0)
    clip_norm: float = option(
        100.0, "largest global norm of a gradient of a per-point bound", low=1e-6
    )
    # Terms.
    label_weight: float = option(1.0, "weight of the label term of the parametric coders", low=0.0)
    kl_weight: float = option(
        1.0, "weight of the divergence of a parametric coder, times alpha", low=0.0
    )
    label_schedule: str = option(
        "paper",
        "label term of an upper coder: fades as 1 - alpha (Eq. 21), or kept",
        choices=("paper", "kept"),
    )
    # Balance (Eq. 24-25).
    balance: str = option(
        "ess",
        "frames drawn by inverse label frequency with a target effective sample size, "
        "as Eq. 25 is printed, or uniformly",
        choices=("ess", "paper", "off"),
    )
    balance_ess: float = option(
        0.1,
        "effective sample size of the balanced draw, as a share of the frames",
        low=1e-3,
        high=1.0,
    )
    # Augmentation of the parametric coder's input.
    augment_shift: float = option(0.0, "largest random shift, share of the side", low=0.0, high=0.5)
    augment_scale: float = option(0.0, "largest random change of size, share", low=0.0, high=0.5)
    augment_rotation: float = option(0.0, "largest random rotation, degrees", low=0.0, high=45.0)
    augment_contrast: float = option(
        0.0, "largest random change of contrast, share", low=0.0, high=1.0
    )
    augment_brightness: float = option(
        0.0, "largest random change of brightness, share of the range", low=0.0, high=1.0
    )
    augment_blur: float = option(
        0.0,
        "largest standard deviation of a random blur, pixels of the model's input",
        low=0.0,
        high=1.0,
    )
    augment_flip: float = option(0.0, "share of the frames that are mirrored", low=0.0, high=1.0)
    # The rest.
    labelled_share: float = option(
        1.0,
        "share of the training frames whose labels are used; the others count as unlabelled",
        low=1e-4,
        high=1.0,
    )
    unlabelled: int = option(
        1, "1: unlabelled frames train the parametric coders; 0: they are left out", low=0, high=1
    )
    fold: int = option(0, "subject fold", low=0)
    seed: int = option(0, "seed of every random number of the run", low=0, high=2**31 - 1)

    def __post_init__(self) -> None:
        super().__post_init__()
        parse_coders(self.coders)
        if self.system == "dcp" and self.stack[-1].kind == "gp":
            raise UserError(
                f"--system=dcp does not fit --coders={self.coders}: its last coder is no gp"
            )
        if len(self.pools) != len(self.filters):
            raise UserError(
                f"--pools has {len(self.pools)} entries for {len(self.filters)} --filters"
            )
        if 240 % self.image_height or 160 % self.image_width:
            raise UserError(
                f"--image_height={self.image_height} and --image_width={self.image_width} must "
                "divide the crop's 240 and 160"
            )
        if not len(self.cnn_filters) == len(self.cnn_kernels) == len(self.cnn_pools):
            raise UserError(
                f"--cnn_filters, --cnn_kernels and --cnn_pools have {len(self.cnn_filters)}, "
                f"{len(self.cnn_kernels)} and {len(self.cnn_pools)} entries; give as many of each"
            )
        if self.kernel_size not in (3, 5):
            raise UserError(f"--kernel_size={self.kernel_size} must be 3 or 5")

    @property
    def stack(self) -> tuple[CoderSpec, ...]:
        """The coders, top first."""
        return parse_coders(self.coders)


SMALL: dict[str, Any] = {
    "coders": "conv:200,gp:24",
    "image_height": 60,
    "image_width": 40,
    "filters": (16, 32, 64),
    "pools": (1, 1, 1),
    "kernel_size": 3,
    "dropout": 0.4,
    "pixel_path": 1,
    "cnn_filters": (16, 32, 64),
    "cnn_kernels": (3, 3, 3),
    "cnn_features": 200,
    "vgg16_side": 48,
    "vgg16_units": 256,
    "lbp_rows": 3,
    "lbp_columns": 2,
    "gp": "sparse",
    "gp_inducing": 1000,
    "gp_inducing_decoder": 100,
    "gp_points": 900,
    "gp_block": 450,
    "gp_init": "labels",
    "gp_lengthscale": 3.0,
    "gp_init_steps": 3,
    "gp_steps": 1,
    "gp_learning_rate": 0.004,
    "gp_head_steps": 20,
    "gp_head_prior": 0.1,
    "ordinal_weight": 5.0,
    "dgp_latents": (24, 24),
    "dgp_inducing": 64,
    "iterations": 8,
    "init_epochs": 9,
    "epochs_per_iteration": 6,
    "warmup_iterations": 5,
    "optimizer": "adam",
    "learning_rate": 2e-3,
    "learning_rate_end": 0.02,
    "label_weight": 200.0,
    "label_schedule": "kept",
    "balance": "off",
    "augment_shift": 0.03,
    "augment_scale": 0.04,
    "augment_rotation": 3.0,
    "augment_contrast": 0.2,
    "augment_brightness": 0.1,
    "augment_blur": 0.5,
    "augment_flip": 0.5,
}
"""Chosen on validation subjects of synthetic sets of some thousand frames, some of it with their
test figures in sight (benchmarks/results/table1_disfa_small). With so few frames, a balanced draw
(an effective sample of a tenth) overfits: it lost .15 ICC on unseen subjects."""


MOBILE: dict[str, Any] = {**SMALL, "coders": "conv:128,gp:24", "gp_inducing": 700}
"""The small one with fewer codes and anchors, whose matrices are most of its file: as float16 it
has 2.7 MB of `.tflite` in place of 4.7, and loses .009 mean ICC on the demo's test subjects."""


def preset(name: str, **changes: Any) -> Config:
    """A configuration by name.

    Args:
      name: `paper` (the paper's sizes), `small` (trains in minutes on two cores) or `mobile` (the
        same for a `.tflite` below 3 MB).
      **changes: options that differ from the preset.

    Returns:
      The configuration.

    Raises:
      UserError: an unknown preset or a value outside its range.
    """
    presets: dict[str, dict[str, Any]] = {"paper": {}, "small": SMALL, "mobile": MOBILE}
    if name not in presets:
        raise UserError(f"--preset={name}: choose one of {', '.join(presets)}")
    values = {**presets[name], **changes}
    if values.get("system") == "dcp" and "coders" not in changes:
        coders = str(values.get("coders", Config.coders))
        values["coders"] = coders.replace("gp:", "dense:")
    return Config.from_mapping(values)
