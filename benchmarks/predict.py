"""Frames per second and memory of deepcoder-predict, and of its two halves.

    python benchmarks/predict.py [--model=savedmodels/NAME/1] [--frames 200] > predict.json

Without a model one of the paper's size is exported with random weights: its speed is that of a
trained one. The video is the astronaut's face moving about, with one face a frame. In one run:

- `faces`: decoding, detection, landmarks and crops alone, in threads;
- `model`: the exported model alone, on crops;
- `whole`: `predict_to_csv`, from video to CSV, with and without drawing.

`overlap` is the time of `whole` over that of the two halves one after the other (below 1 they run
beside each other). `memory` is the peak of a process that predicts a 640x480 video of `frames`, and
of one 4 times as long: flat memory grows by next to nothing.
"""

from __future__ import annotations

import argparse
import functools
import os
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import cv2
import numpy as np
import skimage.data
from environment import Record, memory_by_length, seconds

from deepcoder_tf.action_units import DISFA
from deepcoder_tf.config import preset
from deepcoder_tf.export import export_model
from deepcoder_tf.faces.aligner import FaceAligner
from deepcoder_tf.faces.registration import mean_shape, place_in_crop
from deepcoder_tf.models.deepcoder import DeepCoder
from deepcoder_tf.prediction import PredictionRun, Predictor, predict_to_csv
from deepcoder_tf.prediction.inputs import Input

POINTS = 500
"""Frames that the GP coder of the exported model owns."""


def make_video(path: Path, size: tuple[int, int], frames: int) -> None:
    """The astronaut's head moving within the picture."""
    face = cv2.cvtColor(skimage.data.astronaut(), cv2.COLOR_RGB2BGR)[:384]
    zoom = 1.2 * size[1] / face.shape[0]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, size)
    for step in range(frames):
        shift = 0.05 * size[0] * np.sin(step / 9)
        matrix = np.array([[zoom, 0, shift - 0.1 * size[0]], [0, zoom, 0.02 * size[1]]])
        writer.write(cv2.warpAffine(face, matrix, size, borderMode=cv2.BORDER_REPLICATE))
    writer.release()


def make_model(folder: Path) -> Path:
    """A model of the paper's size with random weights."""
    face = cv2.cvtColor(skimage.data.astronaut(), cv2.COLOR_RGB2BGR)
    (found,) = FaceAligner().analyse(face)
    model = DeepCoder(preset("paper"), len(DISFA), POINTS)
    model.build()
    card = {
        "format": 1,
        "action_units": list(DISFA),
        "mean_shape": place_in_crop(mean_shape([found.landmarks49[None]])).tolist(),
        "crop_shape": [240, 160],
    }
    return export_model(model, card, folder)


def predict_length(frames: int, model: Path, threads: int) -> None:
    """Predicts a 640x480 video of so many frames."""
    with tempfile.TemporaryDirectory() as name:
        video = Path(name) / "video.avi"
        make_video(video, (640, 480), frames)
        output = Path(name) / "out.csv"
        predict_to_csv(PredictionRun(model, [video], output, threads=threads, progress=False))


def measure(model: Path, size: tuple[int, int], frames: int, threads: int, folder: Path) -> dict:
    """All figures at one picture size."""
    video = folder / f"{size[0]}x{size[1]}.avi"
    make_video(video, size, frames)
    predictor = Predictor(model, threads=threads)
    crops = np.random.default_rng(0).integers(0, 256, (frames, 240, 160, 1), np.uint8)
    predictor.predict_crops(crops[:8])  # traces

    faces = seconds(lambda: list(predictor._analysed([Input(video)], keep_images=False)))
    alone = seconds(lambda: predictor.predict_crops(crops))

    def whole(annotate: Path | None) -> float:
        rows = predictor.predict_frames([Input(video)], keep_images=annotate is not None)
        return seconds(lambda: sum(len(frame.rows) for frame in rows))

    beside = whole(None)
    loading = seconds(lambda: Predictor(model, threads=threads))
    common = {"model": model, "files": [video], "threads": threads, "progress": False}
    to_csv = seconds(lambda: predict_to_csv(PredictionRun(output=folder / "out.csv", **common)))
    drawn = seconds(
        lambda: predict_to_csv(
            PredictionRun(output=folder / "out.csv", annotate=folder / "drawn", **common)
        )
    )
    return {
        "picture": list(size),
        "frames": frames,
        "faces_per_second": frames / faces,
        "model_per_second": frames / alone,
        "whole_per_second": frames / beside,
        "csv_per_second": frames / (to_csv - loading),
        "annotated_per_second": frames / (drawn - loading),
        "overlap": beside / (faces + alone),
        "loading_seconds": loading,
    }


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, help="exported model; one is made when left out")
    parser.add_argument("--frames", type=int, default=200, help="frames of the video")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="for finding faces")
    parser.add_argument("--sizes", nargs="+", default=["640x480"], help="WIDTHxHEIGHT")
    options = parser.parse_args()
    record = Record("tensorflow", "keras", "opencv-python-headless", "dlib-bin")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = options.model or make_model(folder / "paper")
        sizes = [tuple(map(int, size.split("x"))) for size in options.sizes]
        runs = [measure(model, size, options.frames, options.threads, folder) for size in sizes]
        work = functools.partial(predict_length, model=model, threads=options.threads)
        memory = memory_by_length(work, options.frames)
    record.report(
        {**vars(options), "model": options.model or "paper size, random weights"},
        {"runs": runs, "memory": memory},
    )


if __name__ == "__main__":
    main()
