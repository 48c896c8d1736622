"""Frames per second and memory of deepcoder-prepare, and of its two passes.

    python benchmarks/prepare.py [--frames 100] [--workers 2] > prepare.json

Four subjects of a DISFA-like folder, the astronaut's face moving about, enlarged to each size; one
fold's crops are counted once although every frame is cut for all usable folds. `pass1` is decoding,
detection and landmarks, `pass2` decoding, warping, PNG and TFRecord; `whole` is both with all else.

`frames_per_second` is by the clock, and falls with whatever else the machine does;
`frames_per_core_second` is frames over processor time, which it does not see: times the number of
free cores it is what to expect. `memory` is the peak of a process that prepares the same folder
with videos of `frames` and of 4 times as many at 640x480: flat memory grows by next to nothing.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import cv2
import numpy as np
import skimage.data
from environment import Record, memory_by_length

from deepcoder_tf.action_units import DISFA
from deepcoder_tf.datasets.prepare import PrepareConfig, prepare

SUBJECTS = (1, 2, 6, 11)
SIZES = ((320, 240), (640, 480), (1024, 768))


def make_folder(root: Path, size: tuple[int, int], subjects: tuple[int, ...], frames: int) -> None:
    """A DISFA layout with a face of half the picture's height."""
    face = cv2.cvtColor(skimage.data.astronaut(), cv2.COLOR_RGB2BGR)
    zoom = 0.5 * size[1] / 120
    for subject in subjects:
        name = f"SN{subject:03d}"
        video = root / "Videos_LeftCamera" / f"LeftVideo{name}_comp.avi"
        video.parent.mkdir(parents=True, exist_ok=True)
        writer = cv2.VideoWriter(str(video), cv2.VideoWriter_fourcc(*"MJPG"), 20, size)
        for k in range(frames):
            turn = cv2.getRotationMatrix2D((223, 127), 4 * np.sin(k / 9 + subject), zoom)
            turn[:, 2] += size[0] / 2 - 223, size[1] / 2 - 127
            writer.write(cv2.warpAffine(face, turn, size, borderMode=cv2.BORDER_REFLECT))
        writer.release()
        labels = root / "ActionUnit_Labels" / name
        labels.mkdir(parents=True)
        for unit in DISFA:
            text = "".join(f"{k + 1},{(k + subject) % 6}\n" for k in range(frames))
            (labels / f"{name}_au{int(unit[2:])}.txt").write_text(text)


def rates(run: Callable[[], object], frames: int) -> dict[str, float]:
    """Frames per second by the clock and by processor time."""
    clock, processor = time.perf_counter(), time.process_time()
    run()
    clock, processor = time.perf_counter() - clock, time.process_time() - processor
    return {
        "frames_per_second": frames / clock,
        "frames_per_core_second": frames / processor,
    }


def measure(size: tuple[int, int], frames: int, workers: int) -> dict[str, object]:
    """Both passes and each by itself at one size."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "disfa"
        make_folder(root, size, SUBJECTS, frames)
        output = Path(folder) / "prepared"
        config = PrepareConfig("disfa", root, output, workers=workers, progress=False)
        total = frames * len(SUBJECTS)
        result: dict[str, object] = {"size": f"{size[0]}x{size[1]}", "frames": total}
        result["whole"] = rates(lambda: prepare(config), total)
        for shards in output.glob("fold*"):
            shutil.rmtree(shards)
        result["pass2"] = rates(lambda: prepare(config), total)
        shutil.rmtree(output / "landmarks")
        result["pass1"] = rates(lambda: prepare(config), total)
        return result


def prepare_length(frames: int) -> None:
    """Prepares 640x480 videos of so many frames each."""
    with tempfile.TemporaryDirectory() as folder:
        make_folder(Path(folder) / "disfa", (640, 480), SUBJECTS, frames)
        prepare(
            PrepareConfig("disfa", Path(folder) / "disfa", Path(folder) / "out", progress=False)
        )


def main() -> None:
    """Measures everything and prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=100, help="frames of each of four videos")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    record = Record("tensorflow", "opencv-python-headless", "dlib-bin")
    prepare_length(2)  # loads and warms everything up
    sizes = [measure(size, options.frames, options.workers) for size in SIZES]
    memory = memory_by_length(prepare_length, options.frames)
    record.report(vars(options), {"sizes": sizes, "memory": memory})


if __name__ == "__main__":
    main()
