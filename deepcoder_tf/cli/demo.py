"""deepcoder-demo: the main job from nothing, on faces that the package renders itself.

    deepcoder-demo --output_dir=runs/demo

Synthesises a small data set in the layout of DISFA, prepares it, trains a 2-layer DeepCoder,
evaluates it on subjects it has never seen, exports it, and predicts a photograph and a video.
Each step is printed as the command that does it alone, and is not done twice.
"""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from absl import flags

from deepcoder_tf.cli import command, evaluate, export, predict, prepare, synthesize, train
from deepcoder_tf.errors import UserError

__all__ = ["FLAGS", "main", "run"]

FLAGS = flags.FlagValues()

flags.DEFINE_string("output_dir", "runs/demo", "folder for everything", flag_values=FLAGS)
flags.DEFINE_string(
    "flagfile_train", "flags/demo.flags", "flag file of the training", flag_values=FLAGS
)
flags.DEFINE_integer("subjects", 81, "subjects to synthesise", 6, 99, flag_values=FLAGS)
flags.DEFINE_integer("frames", 72, "frames of each subject", 8, flag_values=FLAGS)
flags.DEFINE_integer("workers", 2, "processes that render and prepare", 1, flag_values=FLAGS)

Main = Callable[[Sequence[str]], int]


def run(values: flags.FlagValues, positional: list[str]) -> None:
    """Runs every step, then says where the results are."""
    command.no_positional(positional)
    out = Path(values.output_dir)
    out.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    workers = f"--workers={values.workers}"
    faces, prepared, model = out / "faces", out / "prepared", out / "model"
    do(
        synthesize.main,
        "deepcoder-synthesize",
        f"--output_dir={faces}",
        "--layout=disfa",
        f"--subjects={values.subjects}",
        f"--frames={values.frames}",
        workers,
    )
    do(
        prepare.main,
        "deepcoder-prepare",
        "--dataset=disfa",
        f"--input_dir={faces}",
        f"--output_dir={prepared}",
        workers,
    )
    do(
        train.main,
        "deepcoder-train",
        f"--flagfile={values.flagfile_train}",
        f"--data_dir={prepared}",
        f"--model_dir={model}",
        "--fold=0",
    )
    do(
        evaluate.main,
        "deepcoder-evaluate",
        f"--model_dir={model}",
        f"--data_dir={prepared}",
        "--fold=0",
        "--split=test",
        "--references",
        f"--output_dir={out}",
    )
    exported = export_once(model, out / "savedmodel", out / "metrics.json")
    photograph, video = examples(out, faces, prepared)
    do(
        predict.main,
        "deepcoder-predict",
        f"--model={exported}",
        f"--output={out / 'prediction.csv'}",
        f"--annotate={out / 'annotated'}",
        str(photograph),
        str(video),
    )
    summary(out, time.monotonic() - began)


def do(main: Main, name: str, *arguments: str) -> None:
    """Shows a command and runs it.

    Raises:
      UserError: it failed; its own message stands above.
    """
    print(f"\n$ {shlex.join([name, *arguments])}", flush=True)
    began = time.monotonic()
    code = main([name, *arguments])
    if code:
        raise UserError(f"{name} ended with exit code {code}; mend it and run the demo again")
    print(f"  {time.monotonic() - began:.0f} s", flush=True)


def export_once(model: Path, folder: Path, metrics: Path) -> Path:
    """Version 1 of the demo's model."""
    do(
        export.main,
        "deepcoder-export",
        f"--model_dir={model}",
        f"--output_dir={folder}",
        "--version=1",
        "--overwrite",
        f"--metrics={metrics}",
        "--data=synthetic faces of deepcoder-synthesize, in the layout of DISFA",
        "--licence=Apache-2.0",
    )
    return folder / "1"


def examples(out: Path, faces: Path, prepared: Path) -> tuple[Path, Path]:
    """A real photograph, and the video of a subject that the model has never seen."""
    import cv2
    from skimage import data

    photograph = out / "astronaut.png"
    cv2.imwrite(str(photograph), cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2BGR))
    fold = json.loads((prepared / "dataset.json").read_text(encoding="utf-8"))["folds"]["0"]
    return photograph, faces / "Videos_LeftCamera" / f"LeftVideo{fold['test'][0]}_comp.avi"


def summary(out: Path, seconds: float) -> None:
    """What came out and where to look."""
    document = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    references = document["references"]
    print(f"\nMean ICC(3,1) on {document['frames']} frames of unseen subjects:")
    for name, icc in {document["system"]: document["mean"]["icc"], **references}.items():
        print(f"  {name:10s} {icc:.3f}")
    print(f"""
numbers           {out / "metrics.json"}, {out / "predictions.csv"}
reconstructions   {out / "reconstructions.png"}
latent spaces     {out / "latent_spaces.png"} (Z0 and Z1, by subject and by AU12)
reliability       {out / "reliability.png"}
predictions       {out / "prediction.csv"}, {out / "annotated"}/
training curves   tensorboard --logdir {out / "model" / "log"}
{seconds / 60:.1f} minutes""")


def main(argv: Sequence[str] | None = None) -> int:
    """The console script."""
    return command.run(__doc__, FLAGS, run, argv)


if __name__ == "__main__":
    sys.exit(main())
