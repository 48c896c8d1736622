"""Milliseconds per face of LiteRT beside TensorFlow, and what a variant weighs.

    python benchmarks/tflite.py [--model=savedmodels/NAME/1] [--points 5000] > tflite.json

Without a model one of the paper's size is made with random weights, and a Gaussian process that
owns `points` random frames: its speed is that of a trained one. With a model, what lies in its
`tflite/` is measured, of action units or of expressions. All of it runs in turns in one process,
from the crop of a face to levels or probabilities:

- `tensorflow`: the SavedModel at batch 1, on all cores;
- `float32`, `float16`, `int8` with 1 and 2 threads of LiteRT.

`best_ms` and `median_ms` are over the turns. `speed` is TensorFlow's best time over that of the
variant: above 1 it is faster. `megabytes` is the file's size, `difference` the largest difference
from TensorFlow's on the crops that were timed, of an expected intensity in levels, or of the
probability of an expression.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import statistics
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from environment import Record, seconds

from deepcoder_tf.action_units import DISFA
from deepcoder_tf.config import preset
from deepcoder_tf.export.lite_graph import lite_graph
from deepcoder_tf.export.lite_parity import MEASURES, Faces, HeldOut
from deepcoder_tf.export.savedmodel import save_functions, traced
from deepcoder_tf.export.tflite import Examples, convert, serving_default
from deepcoder_tf.lite_model import VARIANTS, LiteModel, join
from deepcoder_tf.models.deepcoder import DeepCoder
from deepcoder_tf.prediction.model import DESCRIPTION, read_description
from deepcoder_tf.types import Gaussian

THREADS = (1, 2)

CROPS = 8
"""Different faces, in turns."""

CARD = {
    "format": 1,
    "action_units": list(DISFA),
    "mean_shape": np.random.default_rng(0).uniform(20, 140, (49, 2)).tolist(),
    "crop_shape": [240, 160],
}


def crops(count: int, shape: tuple[int, int, int] = (240, 160, 1)) -> np.ndarray:
    """Blurred noise `[count, *shape]` uint8."""
    rows, columns, channels = shape
    coarse = np.random.default_rng(0).uniform(0, 255, (count, rows // 16, columns // 16, channels))
    blurred = tf.image.resize(coarse, (rows, columns), "bicubic")
    return tf.saturate_cast(blurred, tf.uint8).numpy()


def paper_model(points: int) -> DeepCoder:
    """A model of the paper's size with random weights, and a process that owns random codes."""
    keras.utils.set_random_seed(0)
    # The start from principal components would only cost time.
    model = DeepCoder(preset("paper", gp_init="random"), len(DISFA), points)
    model.build()
    rng = np.random.default_rng(0)
    Z0 = rng.standard_normal((points, model.coders[0].latent_dim))
    labels = rng.integers(0, 6, (points, len(DISFA)))
    model.coders[1].observe(Gaussian(Z0, np.full_like(Z0, 0.1)), labels, first=True)
    model.coders[1].refresh()
    return model


def make(folder: Path, points: int) -> None:
    """Writes the SavedModel and the variants of a model of the paper's size."""
    model = paper_model(points)
    spec = tf.TensorSpec((None, 240, 160, 1), tf.uint8, name="crops")
    save_functions({"serving_default": traced(lambda crops: model(crops), [spec])}, folder)
    graph = lite_graph(model, serving_default(model, CARD).inputs)
    examples = Examples(Faces(crops(CROPS)), HeldOut(Faces(crops(1)), lambda intensity: 0.0))
    (folder / "assets.extra").mkdir()
    (folder / DESCRIPTION).write_text(json.dumps(CARD), encoding="utf-8")
    (folder / "tflite").mkdir()
    for variant in VARIANTS:
        content = join(convert(graph, variant, examples), CARD)
        (folder / "tflite" / f"{variant}.tflite").write_bytes(content)


def in_turns(calls: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Seconds of each call, over repeats in turns; the first turn does not count."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(repeats + 1):
        for name, call in calls.items():
            taken = seconds(call)
            if turn:
                times[name].append(taken)
    return times


def measure(folder: Path, repeats: int) -> dict[str, Any]:
    """All figures of a SavedModel and of what lies in its `tflite/`."""
    loaded = tf.saved_model.load(str(folder))
    serve = loaded.signatures["serving_default"]
    description = read_description(folder)
    given, output = description.parts.faces, MEASURES[description.kind].output
    faces = crops(CROPS, description.face_shape)
    here = np.concatenate([serve(**{given: tf.constant(c[None])})[output] for c in faces])
    one = {given: tf.constant(faces[:1])}
    calls: dict[str, Callable[[], object]] = {"tensorflow": lambda: serve(**one)}
    about: dict[str, dict[str, Any]] = {}
    for path in sorted((folder / "tflite").glob("*.tflite")):
        for threads in THREADS:
            lite = LiteModel(path, threads)
            name = f"{path.stem}, {threads} thread{'s'[: threads > 1]}"
            there = np.concatenate([lite.outputs(**{given: c[None]})[output] for c in faces])
            calls[name] = functools.partial(lite.outputs, **{given: faces[:1]})
            about[name] = {
                "megabytes": path.stat().st_size / 1e6,
                "runtime": lite.runtime,
                "difference": float(np.abs(here - there).max()),
            }
    times = in_turns(calls, repeats)
    best = {name: min(taken) for name, taken in times.items()}
    return {
        name: {
            "best_ms": 1e3 * best[name],
            "median_ms": 1e3 * statistics.median(times[name]),
            "speed": best["tensorflow"] / best[name],
            **about.get(name, {}),
        }
        for name in calls
    }


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, help="exported model with tflite/; else one is made")
    parser.add_argument("--points", type=int, default=5000, help="frames that the GP owns")
    parser.add_argument("--repeats", type=int, default=40, help="turns")
    options = parser.parse_args()
    record = Record("tensorflow", "ai-edge-litert", "ai-edge-quantizer")
    with tempfile.TemporaryDirectory() as name:
        folder = options.model or Path(name) / "1"
        if not options.model:
            make(folder, options.points)
        results = measure(folder, options.repeats)
    record.report(
        {**vars(options), "model": options.model or "paper size, random weights"}, results
    )


if __name__ == "__main__":
    main()
