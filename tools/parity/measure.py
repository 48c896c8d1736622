"""Asks every route about the golden set and compares the answers."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import tensorflow as tf

from deepcoder_tf.errors import UserError
from deepcoder_tf.prediction.model import read_description
from tools.parity.compare import Differences, compare, verdict
from tools.parity.golden import Golden, golden
from tools.parity.route import SERVING_DEFAULT, Outputs, Question, Route, UnavailableError

__all__ = ["Row", "inputs_of", "measure"]


FACES = {"crops", "pictures"}
"""Inputs of signatures whose outputs are numbers of faces."""


class Row(NamedTuple):
    """One route's answer to one signature.

    Attributes:
      route: that was asked.
      signature: by its name.
      differences: from the model in memory; None where there was no answer.
      wrong: which limit it breaks, or how the route failed; empty where it is right.
      skipped: why the route cannot run here; empty where it did.
    """

    route: Route
    signature: str
    differences: Differences | None = None
    wrong: str = ""
    skipped: str = ""

    @property
    def verdict(self) -> str:
        """`passed`, `skipped` or `FAILED`."""
        if self.skipped:
            return "skipped"
        return "FAILED" if self.wrong else "passed"


def encoded(pictures: Sequence[np.ndarray], suffix: str) -> np.ndarray:
    """Pictures as the bytes of files, an array of objects `[F]`."""
    files = [cv2.imencode(suffix, picture)[1].tobytes() for picture in pictures]
    return np.array([*files, None], object)[:-1]


def inputs_of(signature: str, names: Sequence[str], faces: Golden) -> dict[str, np.ndarray]:
    """The golden set as one signature wants it.

    Args:
      signature: by its name.
      names: of its inputs.
      faces: the golden set.

    Returns:
      Arrays by the names of the inputs.

    Raises:
      UnavailableError: it wants something else than faces.
    """
    raw = signature == "from_landmarks"
    pictures = faces.pictures if raw else list(faces.crops)
    known = {
        "crops": lambda: faces.crops,
        "landmarks": lambda: faces.points if raw else faces.landmarks,
        # Cameras and clients send JPEG; both sides then see the picture that was compressed.
        "pictures": lambda: encoded(pictures, ".jpg"),
    }
    unknown = set(names) - set(known)
    if unknown:
        raise UnavailableError(f"the golden set has no {', '.join(sorted(unknown))}")
    return {name: known[name]() for name in names}


def signatures(export: Path) -> dict[str, list[str]]:
    """The names of the inputs of all signatures that want faces, `serving_default` first."""
    loaded = tf.saved_model.load(str(export)).signatures
    names = sorted(loaded, key=lambda name: (name != SERVING_DEFAULT, name))
    inputs = {name: sorted(loaded[name].structured_input_signature[1]) for name in names}
    return {name: wanted for name, wanted in inputs.items() if FACES & set(wanted)}


def measure(
    model_dir: Path,
    export: Path,
    reference: Route,
    routes: Sequence[Route],
    only: Sequence[str] = (),
) -> Iterator[Row]:
    """Asks all routes.

    Args:
      model_dir: the run that the model was trained in.
      export: the model's SavedModel, one version.
      reference: what the others are compared with.
      routes: the others.
      only: signatures to ask for; all when empty.

    Yields:
      A row for each signature and route as soon as it is known.

    Raises:
      UserError: no run, no export, or no such signature.
    """
    description = read_description(export)
    faces = golden(description.mean_shape, description.crop_shape)
    found = signatures(export)
    unknown = set(only) - set(found)
    if unknown:
        raise UserError(
            f"{export} has no signature {', '.join(sorted(unknown))}; it has {', '.join(found)}"
        )
    for signature, names in found.items():
        if only and signature not in only:
            continue
        try:
            given = inputs_of(signature, names, faces)
            wanted = ask(reference, Question(model_dir, export, signature, given, Path()))
        except UnavailableError as reason:
            yield Row(reference, signature, skipped=str(reason))
            continue
        for route in routes:
            if route.every_signature or signature == SERVING_DEFAULT:
                yield answer(route, Question(model_dir, export, signature, given, Path()), wanted)


def ask(route: Route, question: Question) -> Outputs:
    """One answer, in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="parity-") as folder:
        return route.ask(question._replace(folder=Path(folder)))


def answer(route: Route, question: Question, wanted: Outputs) -> Row:
    """One row; a route that breaks is one that is not right."""
    try:
        differences = compare(wanted, ask(route, question), route.limit)
    except UnavailableError as reason:
        return Row(route, question.signature, skipped=str(reason))
    except Exception as error:  # the table tells it, and the other routes are still asked
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        return Row(route, question.signature, wrong=f"{type(error).__name__}: {said}")
    wrong = verdict(differences, route.limit)
    return Row(route, question.signature, differences, wrong)
