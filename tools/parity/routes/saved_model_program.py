"""The SavedModel, run by TensorFlow's own program `saved_model_cli`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np

from tools.parity.program import run_program
from tools.parity.route import Limit, Outputs, Question, Route, UnavailableError

__all__ = ["ROUTE", "ask"]

PROGRAM = "saved_model_cli"


def ask(question: Question) -> Outputs:
    """Gives the inputs as one .npz, and reads the .npy files that the program writes."""
    beside = Path(sys.executable).with_name(PROGRAM)
    program = str(beside) if beside.is_file() else shutil.which(PROGRAM)
    if program is None:
        raise UnavailableError(f"no {PROGRAM} here; it comes with tensorflow")
    given, answer = question.folder / "inputs.npz", question.folder / "outputs"
    # Bytes of a fixed length, as .npy files hold them; neither PNG nor JPEG ends with a zero.
    arrays = {
        k: v.astype(np.bytes_) if v.dtype == object else v for k, v in question.inputs.items()
    }
    np.savez(given, allow_pickle=False, **arrays)
    named = ";".join(f"{name}={given}[{name}]" for name in arrays)
    run_program(
        [
            *(program, "run", "--dir", str(question.export), "--tag_set", "serve"),
            *("--signature_def", question.signature, "--inputs", named, "--outdir", str(answer)),
        ]
    )
    return {path.stem: np.load(path) for path in answer.glob("*.npy")}


ROUTE = Route(PROGRAM, "TensorFlow's program, a session", Limit(1e-5), ask, every_signature=True)
