"""Pictures of what a system learnt and how good it is. Each function draws one file, or two.

A path that ends in `.png` or `.svg` gets that; a path without an ending gets both.
"""

from deepcoder_tf.evaluation.figures.comparison import Estimate, intervals
from deepcoder_tf.evaluation.figures.curves import over_iterations
from deepcoder_tf.evaluation.figures.expressions import (
    face_grid,
    label_confusion,
    pair_similarities,
)
from deepcoder_tf.evaluation.figures.faces import reconstructions
from deepcoder_tf.evaluation.figures.latents import (
    latent_spaces,
    neighbourhood,
    project,
    spaces_by_level,
    spaces_by_subject,
    t_sne,
)
from deepcoder_tf.evaluation.figures.levels import (
    confusion_matrices,
    label_distribution,
    reliability_by_unit,
    reliability_diagram,
)

__all__ = [
    "Estimate",
    "confusion_matrices",
    "face_grid",
    "intervals",
    "label_confusion",
    "label_distribution",
    "latent_spaces",
    "neighbourhood",
    "over_iterations",
    "pair_similarities",
    "project",
    "reconstructions",
    "reliability_by_unit",
    "reliability_diagram",
    "spaces_by_level",
    "spaces_by_subject",
    "t_sne",
]
