"""Posed expressions: prototypes, one side of the face, pictures and their manifest."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from deepcoder_tf.cli.synthesize import main
from deepcoder_tf.expressions import EXPRESSIONS
from deepcoder_tf.synthesis import SynthesisConfig, synthesize
from deepcoder_tf.synthesis.dataset import RECORD
from deepcoder_tf.synthesis.expression import ACTION_UNITS, check_intensities, unit_weights
from deepcoder_tf.synthesis.poses import PROTOTYPES, UNITS, pose_all
from deepcoder_tf.synthesis.renderer import Renderer

SMALL = {"layout": "expressions", "frames": 10, "size": (80, 80), "progress": False}


def test_every_expression_has_prototypes_that_the_head_can_show():
    assert tuple(PROTOTYPES) == EXPRESSIONS
    for variants in PROTOTYPES.values():
        for units in variants:
            check_intensities(dict.fromkeys(units, 5.0))
    core = {name: set.intersection(*map(set, PROTOTYPES[name])) for name in EXPRESSIONS}
    assert core["happiness"] == {"AU06", "AU12"} and core["sadness"] == {"AU01", "AU04", "AU15"}
    assert {"AU01", "AU02", "AU05", "AU26"} <= core["surprise"] and "AU09" in core["disgust"]


def test_one_side_moves_alone():
    weights = unit_weights({"R14": 5.0}, {"AU14": 0.2})
    assert set(weights) == {"mouthDimpleRight"}
    assert weights == {"mouthDimpleRight": unit_weights({"AU14": 5.0})["mouthDimpleRight"]}
    assert set(unit_weights({"L12": 2.0})) == {"mouthSmileLeft"}
    with pytest.raises(ValueError, match="cannot show 'R26': AU26 has no sides"):
        unit_weights({"R26": 1.0})
    with pytest.raises(ValueError, match="cannot show 'R99'"):
        unit_weights({"R99": 1.0})


def test_contempt_is_on_one_half_of_the_picture(renderer: Renderer):
    rest = renderer.frame({})
    change = np.abs(renderer.frame({"R12": 5.0, "R14": 5.0}) - rest).sum(axis=(0, 2))
    middle = change.size // 2  # the head's right is the picture's left
    assert change[:middle].sum() > 4 * change[middle:].sum()


def test_lasting_asymmetries_are_those_of_the_data_sets(subject):
    """Units that only poses need must not move the random streams of older data sets."""
    assert len(ACTION_UNITS) == 14 and tuple(subject.asymmetry) == ACTION_UNITS


def test_poses_show_what_they_are_called():
    first, second = pose_all(3, 24, 2)
    again = next(pose_all(3, 24, 1))
    np.testing.assert_array_equal(first.intensities, again.intensities)
    assert not np.array_equal(first.intensities, second.intensities)
    for shown in (first, second):
        assert shown.expressions is not None and shown.expressions.tolist() == [*range(8)] * 3
        for row, expression in enumerate(shown.expressions):
            units = tuple(n for n, x in zip(UNITS, shown.intensities[row], strict=True) if x > 0)
            variants = PROTOTYPES[EXPRESSIONS[expression]]
            assert set(units) in [set(variant) for variant in variants]
            values = shown.intensities[row][shown.intensities[row] > 0]
            assert len(values) == 0 or 1 <= values.min() <= values.max() <= 5


def digest(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_pictures_and_manifest_and_going_on(tmp_path: Path):
    root = tmp_path / "one"
    synthesize(SynthesisConfig(root, subjects=1, **SMALL))
    assert len((root / "manifest.csv").read_text().splitlines()) == 11
    synthesize(SynthesisConfig(root, subjects=2, **SMALL))
    with (root / "manifest.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["subject"] for row in rows] == ["S001"] * 10 + ["S002"] * 10
    assert [row["expression"] for row in rows] == [*EXPRESSIONS, *EXPRESSIONS[:2]] * 2
    images = [cv2.imread(str(root / row["path"])) for row in rows]
    assert {image.shape for image in images} == {(80, 80, 3)}
    expected = {RECORD, "manifest.csv", *(row["path"] for row in rows)}
    expected |= {f"pictures/{subject}/expressions.csv" for subject in ("S001", "S002")}
    assert set(digest(root)) == expected
    synthesize(SynthesisConfig(tmp_path / "two", subjects=2, workers=2, **SMALL))
    assert digest(tmp_path / "two") == digest(root)


def test_the_command_writes_what_the_manifest_reader_reads(tmp_path: Path, capsys):
    from deepcoder_tf.datasets.expressions.manifest import read_expression_manifest

    arguments = [f"--output_dir={tmp_path}", "--subjects=1", "--size=64x64", "--frames=8"]
    assert main(["synthesize", "--layout=expressions", "--noprogress", *arguments]) == 0
    assert "1 subjects, 8 frames each" in capsys.readouterr().out
    samples = read_expression_manifest(tmp_path / "manifest.csv").samples
    assert [sample.expression for sample in samples] == list(range(8))
    assert {sample.subject for sample in samples} == {"S001"}
