"""Import of published weights, with the proof that they compute the same here."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf
from skimage import data, transform

from deepcoder_tf.errors import UserError
from deepcoder_tf.graphs import graph_of
from deepcoder_tf.models.facenet_source import (
    SCOPE,
    FaceNetSource,
    NoEmbeddingError,
    read_source,
    run_graph,
)
from deepcoder_tf.models.inception_resnet_v1 import InceptionResNetV1, facenet_input
from deepcoder_tf.models.named_weights import write_weights

__all__ = ["TOLERANCE", "import_facenet", "proof_faces"]

log = logging.getLogger(__name__)

TOLERANCE = 1e-4
"""Largest difference of an embedding's values that counts as equal; an embedding has length 1."""

SIDE = 160
"""Pixels of the square that FaceNet was trained on."""

ASTRONAUT = (slice(0, 200), slice(124, 324))
"""Rows and columns of the face in the astronaut's portrait."""

SMALL_FACES = 6
"""Of LFW, 25x25 grey pixels, enlarged."""


def proof_faces() -> np.ndarray:
    """Real faces: the astronaut of scikit-image in several crops and lights, and faces of LFW.

    Returns:
      `[N, 160, 160, 3]` float32 in -1..1, red, green, blue.
    """
    picture = data.astronaut() / 255.0
    face = picture[ASTRONAUT]
    crops = [
        face,
        face[:, ::-1],
        picture[20:170, 140:290],
        picture[0:300, 80:380],
        0.5 * face,
        face**0.5,
        transform.rotate(face, 15.0, mode="edge"),
        np.repeat(face.mean(axis=-1, keepdims=True), 3, axis=-1),
        *(np.repeat(grey[..., None], 3, axis=-1) for grey in data.lfw_subset()[:SMALL_FACES]),
    ]
    resized = [transform.resize(crop, (SIDE, SIDE), anti_aliasing=True) for crop in crops]
    return (2.0 * np.stack(resized) - 1.0).astype(np.float32)


def import_facenet(
    source: Path,
    output: Path,
    make: Callable[[int], InceptionResNetV1] = lambda n: InceptionResNetV1(embedding=n),
) -> float:
    """Turns a published FaceNet model into our weights, and proves that they are the same.

    Args:
      source: a frozen graph, or a folder with it or with a checkpoint.
      output: the `.h5` file to write.
      make: the network for an embedding of that many dimensions.

    Returns:
      The largest difference between our embeddings of `proof_faces` and the source's.

    Raises:
      UserError: another network, a cut file, or embeddings that differ; nothing is written.
    """
    if output.suffix != ".h5":
        raise UserError(f"--output={output}: weights are HDF5; let the name end in .h5")
    found = read_source(source)
    network = make(found.embedding)
    network.build(None)
    check_fits(found, network)
    faces = facenet_input(tf.constant(proof_faces())).numpy()
    ours = embeddings(network, faces)
    theirs, witness = reference(found, network, faces)
    difference = float(np.abs(ours - theirs).max())
    if not difference <= TOLERANCE:  # also where it is not a number
        raise UserError(
            f"--input={source}: embeddings of {len(faces)} faces differ by {difference:.3g} from "
            f"those of {witness}, more than {TOLERANCE:g}; nothing was written: this is no FaceNet "
            "model of 2018"
        )
    count = sum(value.size for value in found.arrays.values())
    notes = {
        "network": "inception_resnet_v1",
        "embedding": found.embedding,
        "source": found.path.name,
        "sha256": found.sha256,
        "numbers": count,
        "batch_norm": "folded" if found.folded else "present",
        "compared_with": witness,
        "faces": len(faces),
        "largest_difference": difference,
        "input": "(level - 127.5) / 128, red green blue",
    }
    write_weights(output, found.arrays, notes)
    log.info(
        "%s: %d numbers in %d arrays, batch norm %s, sha256 %s",
        found.path.name,
        count,
        len(found.arrays),
        notes["batch_norm"],
        found.sha256,
    )
    log.info(
        "embeddings of %d faces equal to those of %s: largest difference %.2g (allowed %g)",
        len(faces),
        witness,
        difference,
        TOLERANCE,
    )
    log.info("%s: written", output)
    return difference


def check_fits(found: FaceNetSource, network: InceptionResNetV1) -> None:
    """Every weight of the source has its place, with its shape, and no place stays empty."""
    for name, value in found.arrays.items():
        if not np.all(np.isfinite(value)):  # a ReLU would hide it
            raise UserError(
                f"--input={found.path}: {name} holds numbers that are not finite; fetch the file "
                "again"
            )
    try:
        network.take_over(found.arrays)
        places = set(network.weights_by_name())
        places |= {f"{name.rsplit('/', 1)[0]}/bias" for name in places}
        extra = sorted(set(found.arrays) - places)
        if extra:
            raise ValueError(f"{len(extra)} weights have no place, such as {extra[0]}")
    except ValueError as error:
        raise UserError(
            f"--input={found.path}: the weights under {SCOPE} are not those of FaceNet's "
            f"Inception-ResNet-V1: {error}; give 20180402-114759, 20180408-102900 or their like"
        ) from error


def embeddings(network: InceptionResNetV1, faces: np.ndarray) -> np.ndarray:
    """Ours, as a graph computes them."""
    return graph_of(network)(tf.constant(faces)).numpy()


def reference(
    found: FaceNetSource, network: InceptionResNetV1, faces: np.ndarray
) -> tuple[np.ndarray, str]:
    """Embeddings to compare with, and who computed them.

    A checkpoint alone does not say what its network computes: there the same weights are run by a
    second route, with batch normalisation folded into the kernels.
    """
    if found.graph is not None:
        try:
            return run_graph(found.graph, faces), "the source's own graph"
        except NoEmbeddingError as error:
            raise UserError(
                f"--input={found.path}: its graph cannot be run to compare with ({error}); give "
                "a frozen graph from 'input' to 'embeddings', or a checkpoint"
            ) from error
    log.warning(
        "%s: no .meta or .pb beside the checkpoint: names and shapes are checked, and the "
        "embeddings are compared with those of the same weights, folded",
        found.path,
    )
    twin = type(network).from_config({**network.get_config(), "folded": True, "name": "folded"})
    twin.build(None)
    twin.take_over(found.arrays)
    return embeddings(twin, faces), "the same weights, folded"
