"""An export compared with the model in memory, each signature by a route of its own.

What goes into the graph as files goes through OpenCV and `faces.aligner` here: the comparison then
covers decoding, registration and resampling too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import tensorflow as tf

from deepcoder_tf.errors import UserError
from deepcoder_tf.export.answers import Served, Signature
from deepcoder_tf.export.signatures import POINTS, signatures_of
from deepcoder_tf.face_model import EXPRESSIONS_KIND
from deepcoder_tf.faces.aligner import align
from deepcoder_tf.faces.images import to_grey
from deepcoder_tf.faces.registration import CROP_SHAPE, register
from deepcoder_tf.faces.squares import PARTS, cut, face_matrix, move_points, places_of

__all__ = ["TOLERANCE", "Faces", "check_parity", "drawn_faces", "faces_for", "inputs_of"]

TOLERANCE = 1e-5
"""Largest difference allowed between an export and the model in memory; of codes, whose units are
their own, as a share of their size where that is above 1."""

GREY_TOLERANCE = 1.0
"""Of decoded pictures, whose grey levels are rounded: one level."""

CHECKED = 3
"""Faces that both are compared on."""


class Faces(NamedTuple):
    """Inputs of every kind, and what OpenCV makes of the files among them.

    Attributes:
      given: inputs by the name of a signature and the name of the input; by the latter alone where
        all signatures take the same.
      crops: by the name of a signature that takes files, the crops that these are.
      landmarks: the same for landmarks in crop pixels.
    """

    given: dict[str, tf.Tensor]
    crops: dict[str, tf.Tensor]
    landmarks: dict[str, tf.Tensor]


def check_parity(model: Served, path: Path, card: Mapping[str, Any]) -> float:
    """Compares the export with the model in memory on faces drawn at random.

    Args:
      model: in memory.
      path: of the SavedModel.
      card: of the export.

    Returns:
      The largest difference over all outputs of all signatures but grey levels and texts.

    Raises:
      UserError: a signature is missing, or a difference is above `TOLERANCE` or not finite; the
        message names signature and output.
      ValueError: the card lacks what the signatures tell of it.
    """
    signatures = signatures_of(model, card)
    faces = faces_for(card)
    loaded = tf.saved_model.load(str(path))
    worst = 0.0
    for signature in signatures:
        if signature.name not in loaded.signatures:
            raise UserError(f"{path} has no signature {signature.name}; nothing was published")
        inputs = inputs_of(signature, faces)
        there = loaded.signatures[signature.name](**inputs)
        here = in_memory(model, signature, inputs, faces)
        for name, found, allowed in differences(signature, here, there):
            if not found <= allowed:
                raise UserError(
                    f"{signature.name}: {name} of the export differs from the model in memory by "
                    f"{found:.2g}, more than {allowed:g}; nothing was published"
                )
            if allowed == TOLERANCE:
                worst = max(worst, found)
    return worst


def in_memory(
    model: Served, signature: Signature, inputs: dict[str, tf.Tensor], faces: Faces
) -> dict[str, tf.Tensor]:
    """What the model says without the export; files by the route of prediction."""
    if signature.name not in faces.crops:
        return signature.answer(*inputs.values())
    landmarks = faces.landmarks[signature.name] if model.needs_landmarks else None
    return model(faces.crops[signature.name], landmarks)


def differences(
    signature: Signature, here: Mapping[str, tf.Tensor], there: Mapping[str, tf.Tensor]
) -> Iterator[tuple[str, float, float]]:
    """Name, largest difference and allowance of every output; NaN where one has one."""
    for name, value in here.items():
        one, two = np.asarray(value), np.asarray(there[name])
        if one.dtype == object:
            yield name, 0.0 if np.array_equal(one, two) else np.inf, 0.0
            continue
        allowed = GREY_TOLERANCE if one.dtype == np.uint8 else TOLERANCE
        one, two = one.astype(np.float64), two.astype(np.float64)
        size = np.maximum(1.0, np.abs(one)) if signature.name == "encode" else 1.0
        yield name, float(np.max(np.abs(one - two) / size)), allowed


def inputs_of(signature: Signature, faces: Faces) -> dict[str, tf.Tensor]:
    """The inputs of a signature by name, in order."""
    given = faces.given
    return {
        spec.name: given.get(f"{signature.name}/{spec.name}", given.get(spec.name))
        for spec in signature.inputs
    }


def faces_for(card: Mapping[str, Any]) -> Faces:
    """Inputs of every kind for the model of a card, drawn at random, the same each time."""
    if card.get("kind") != EXPRESSIONS_KIND:
        return drawn_faces(card["mean_shape"])
    return drawn_squares(int(card["crop_shape"][0]), int(card["channels"]), card["anchors"])


def drawn_squares(size: int, channels: int, anchors: list[list[float]]) -> Faces:
    """Blurred noise in squares, and points in them whose eyes and nose lie near the anchors."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (CHECKED, 8, 8, 3)).astype(np.uint8)
    pictures = [resized(picture, (size, size)) for picture in coarse]
    files = [
        cv2.imencode(suffix, picture)[1].tobytes()
        for suffix, picture in zip(KINDS, pictures, strict=True)
    ]
    points = rng.uniform(0.25 * size, 0.75 * size, (CHECKED, POINTS, 2)).astype(np.float32)
    for part, place in zip(PARTS, places_of(anchors, size), strict=True):
        points[:, part] += (place - points[:, part].mean(axis=1, keepdims=True)).astype(np.float32)
    faces = tf.constant(np.stack([channels_of(picture, channels) for picture in pictures]))
    wild = [
        wild_face(rng, shape, picture, n, (size, size))
        for n, (shape, picture) in enumerate(zip(points, coarse, strict=True))
    ]
    found = np.stack([landmarks for _, landmarks in wild])
    matrices = [face_matrix(landmarks, size, anchors) for landmarks in found]
    squares = [
        cut(read_colours(file), matrix, size, channels)
        for (file, _), matrix in zip(wild, matrices, strict=True)
    ]
    moved = [move_points(*pair) for pair in zip(found, matrices, strict=True)]
    return Faces(
        given={
            "faces": faces,
            "others": faces[::-1],
            "landmarks": tf.constant(points),
            "from_jpeg/pictures": tf.constant(files),
            "from_landmarks/pictures": tf.constant([file for file, _ in wild]),
            "from_landmarks/landmarks": tf.constant(found),
            "describe/faces": tf.range(CHECKED),
        },
        crops={
            "from_jpeg": tf.constant(
                np.stack([channels_of(read_colours(file), channels) for file in files])
            ),
            "from_landmarks": tf.constant(np.stack(squares)),
        },
        landmarks={
            "from_jpeg": tf.constant(points),
            "from_landmarks": tf.constant(np.stack(moved)),
        },
    )


def channels_of(picture: np.ndarray, channels: int) -> np.ndarray:
    """`[rows, columns, channels]`, grey or red, green, blue, of OpenCV's blue, green, red."""
    return to_grey(picture)[..., np.newaxis] if channels == 1 else picture[..., ::-1]


def drawn_faces(mean_shape: list[list[float]]) -> Faces:
    """Blurred noise and shapes of a face, the same each time."""
    rng = np.random.default_rng(0)
    shape = np.asarray(mean_shape, np.float64)
    coarse = rng.integers(0, 256, (CHECKED, 15, 10, 3)).astype(np.uint8)
    crops = np.stack([resized(picture, CROP_SHAPE) for picture in coarse])
    registered = (shape + 2.0 * rng.standard_normal((CHECKED, POINTS, 2))).astype(np.float32)
    files = [
        cv2.imencode(suffix, crop)[1].tobytes() for suffix, crop in zip(KINDS, crops, strict=True)
    ]
    wild = [wild_face(rng, shape, picture, n, CROP_SHAPE) for n, picture in enumerate(coarse)]
    points = np.stack([landmarks for _, landmarks in wild])
    return Faces(
        given={
            "crops": tf.constant(np.stack([to_grey(crop) for crop in crops])[..., np.newaxis]),
            "landmarks": tf.constant(registered),
            "faces": tf.range(CHECKED),
            "from_jpeg/pictures": tf.constant(files),
            "from_landmarks/pictures": tf.constant([file for file, _ in wild]),
            "from_landmarks/landmarks": tf.constant(points),
        },
        crops={
            "from_jpeg": tf.constant(np.stack([read(file) for file in files])[..., np.newaxis]),
            "from_landmarks": tf.constant(
                np.stack([align(read(file), landmarks, shape) for file, landmarks in wild])
            )[..., tf.newaxis],
        },
        landmarks={
            "from_jpeg": tf.constant(registered),
            "from_landmarks": tf.constant(register(points, shape)),
        },
    )


KINDS = (".jpg", ".png", ".jpg")


def resized(picture: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """A picture of other rows and columns."""
    return cv2.resize(picture, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)


def read(file: bytes) -> np.ndarray:
    """`[height, width]` grey levels of a file by OpenCV."""
    return to_grey(read_colours(file))


def read_colours(file: bytes) -> np.ndarray:
    """`[height, width, 3]` blue, green, red of a file by OpenCV."""
    picture = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None  # it was encoded here
    return picture


def wild_face(
    rng: np.random.Generator,
    shape: np.ndarray,
    picture: np.ndarray,
    number: int,
    crop_shape: tuple[int, int],
) -> tuple[bytes, np.ndarray]:
    """A file and landmarks `[49, 2]` in it: turned, and each face larger than the one before."""
    size = 0.8 + 1.1 * number
    turn = np.exp(1j * rng.uniform(-0.3, 0.3))
    z = (shape[:, 0] + 1j * shape[:, 1]) * size * turn + complex(*rng.uniform(0, 40, 2))
    landmarks = np.stack([z.real, z.imag], axis=-1) + size * rng.standard_normal(shape.shape)
    rows, columns = (int(1.2 * size * side) + number for side in crop_shape)
    file = cv2.imencode(KINDS[number], resized(picture, (rows, columns)))[1].tobytes()
    return file, landmarks.astype(np.float32)
