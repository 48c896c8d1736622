"""Frames per second of deepcoder-synthesize, and how many of its faces a detector finds.

    python benchmarks/synthesis.py [--subjects 8] [--frames 75] [--workers 2] > synthesis.json

Writes a data set to a temporary folder as the command does (start of the processes, drawing,
encoding and disk included), then runs dlib's frontal detector with its defaults over every frame.
`draw_ms` is the processor time of one frame, which depends little on the machine's load; `zeros`
the share of frames at level 0; `asset_bytes` the size of the head asset.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import cv2
import dlib
import numpy as np
from environment import Record, seconds

from deepcoder_tf.action_units import DISFA
from deepcoder_tf.synthesis import SynthesisConfig, draw_subject, synthesize
from deepcoder_tf.synthesis.head import ASSET
from deepcoder_tf.synthesis.renderer import Renderer


def draw_milliseconds(size: tuple[int, int], repeats: int = 30) -> float:
    """Median processor time of one frame without encoding, milliseconds."""
    renderer = Renderer(draw_subject(np.random.SeedSequence(0)), size)
    times = []
    for repeat in range(repeats):
        start = time.process_time()
        renderer.frame({"AU06": 2.0, "AU12": 0.1 * repeat})
        times.append(time.process_time() - start)
    return 1e3 * statistics.median(times)


def detection(root: Path) -> dict[str, float]:
    """Share of frames with exactly one face and with none, and the smallest box in pixels."""
    detector = dlib.get_frontal_face_detector()
    counts, heights = [], []
    for path in sorted((root / "Videos_LeftCamera").glob("*.avi")):
        reader = cv2.VideoCapture(str(path))
        while True:
            read, frame = reader.read()
            if not read:
                break
            boxes = detector(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), 0)
            counts.append(len(boxes))
            heights += [box.height() for box in boxes]
    return {
        "frames": len(counts),
        "one_face": float(np.mean(np.equal(counts, 1))),
        "no_face": float(np.mean(np.equal(counts, 0))),
        "smallest_box": float(min(heights, default=0)),
    }


def zeros(root: Path) -> dict[str, float]:
    """Share of frames at level 0 for each action unit."""
    shares = {}
    for name in DISFA:
        files = sorted(root.glob(f"ActionUnit_Labels/*/*_au{int(name[2:])}.txt"))
        values = np.concatenate([np.loadtxt(file, delimiter=",", ndmin=2)[:, 1] for file in files])
        shares[name] = float(np.mean(values == 0))
    return shares


def main() -> None:
    """Measures and prints JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subjects", type=int, default=8)
    parser.add_argument("--frames", type=int, default=75)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--width", type=int, default=320)
    parser.add_argument("--height", type=int, default=240)
    arguments = parser.parse_args()
    size = (arguments.width, arguments.height)
    record = Record("embreex", "dlib-bin", "opencv-python-headless")
    with tempfile.TemporaryDirectory() as folder:
        config = SynthesisConfig(
            Path(folder) / "data",
            subjects=arguments.subjects,
            frames=arguments.frames,
            size=size,
            workers=arguments.workers,
            progress=False,
        )
        clock = seconds(lambda: synthesize(config))
        results = {
            "frames_per_second": arguments.subjects * arguments.frames / clock,
            "draw_ms": draw_milliseconds(size),
            "detection": detection(config.output_dir),
            "zeros": zeros(config.output_dir),
            "asset_bytes": ASSET.stat().st_size,
        }
    record.report(vars(arguments), results)


if __name__ == "__main__":
    main()
