"""Recognisers of expressions exported, and asked: by signature, and by deepcoder-predict."""

from __future__ import annotations

import csv
import functools
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
import tensorflow as tf

from deepcoder_tf.cli.predict import main as predict
from deepcoder_tf.errors import UserError
from deepcoder_tf.experiment.exporting import export
from deepcoder_tf.export import CARD, check_parity
from deepcoder_tf.export.savedmodel import README
from deepcoder_tf.export.warmup import read_warmup
from deepcoder_tf.expressions import EXPRESSIONS
from deepcoder_tf.faces.aligner import FaceAligner
from deepcoder_tf.faces.squares import cut, face_matrix
from deepcoder_tf.prediction import Predictor
from deepcoder_tf.prediction.model import ServingModel
from deepcoder_tf.training.expression_run import load_recogniser
from tests.experiment.tiny_recogniser import SIZE, write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """Of a grey network with a decoder."""
    return write_run(tmp_path_factory.mktemp("grey") / "run", beta_reconstruction=1.0)


@pytest.fixture(scope="module")
def served(run) -> Path:
    """Its export, with a file for TFLite."""
    return export(run, run.parent / "served", tflite=["float32"])


OF_CLASS = {"pictures": 2, "precision": 0.5, "recall": None, "f1": 0.5}
NAMES = ("accuracy", "balanced_accuracy", "macro_f1", "log_loss", "calibration_error")
METRICS = {
    "kind": "expressions",
    "labelled": 16,
    **dict.fromkeys((*NAMES, "majority_rate"), 0.25),
    "per_class": dict.fromkeys(EXPRESSIONS, OF_CLASS),
}


@pytest.fixture(scope="module")
def in_colour(tmp_path_factory) -> Path:
    """The export of a baseline that sees colours and was measured."""
    folder = write_run(tmp_path_factory.mktemp("colour") / "run", 3, system="baseline")
    file = folder.parent / "metrics.json"
    file.write_text(json.dumps(METRICS))
    return export(folder, folder.parent / "served", metrics=file, data="test", licence="mine")


@pytest.fixture(scope="module")
def signatures():
    """Of an export, loaded once."""
    return functools.cache(lambda folder: tf.saved_model.load(str(folder)).signatures)


@pytest.fixture(scope="module")
def photo(tmp_path_factory) -> Path:
    """The astronaut, twice side by side."""
    image = cv2.cvtColor(skimage.data.astronaut(), cv2.COLOR_RGB2BGR)[:300, 50:450]
    path = tmp_path_factory.mktemp("photos") / "two.png"
    cv2.imwrite(str(path), np.hstack([image, image]))
    return path


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_every_signature_says_what_the_model_says(run, served, in_colour, signatures):
    model, _ = load_recogniser(run)
    card = json.loads((served / CARD).read_text())
    told = {key: value for key, value in card.items() if key not in ("signatures", "fingerprint")}
    assert check_parity(model, served, told) <= 1e-5
    loaded = signatures(served)
    asked = {"serving_default", "from_jpeg", "from_landmarks", "encode", "describe"}
    wanted = asked | {"reconstruct", "swap"}
    assert set(loaded) == set(card["signatures"]) == wanted
    plain = set(signatures(in_colour))
    assert plain == asked
    for signature in card["signatures"].values():
        for tensors in signature.values():
            assert all(tensor["meaning"] for tensor in tensors.values())

    rng = np.random.default_rng(0)
    faces, others = (tf.constant(rng.integers(0, 256, (2, 48, 48, 1)), tf.uint8) for _ in "ab")
    said = loaded["serving_default"](faces=faces)
    P = said["expression_probabilities"].numpy()
    np.testing.assert_allclose(P, model(faces)["expression_probabilities"], atol=1e-5)
    np.testing.assert_array_equal(said["expression"], P.argmax(axis=1))
    codes = [loaded["encode"](faces=x) for x in (faces, others)]
    mixed = model.decode(codes[1]["expression_code"], codes[0]["non_expression_code"])
    swapped = loaded["swap"](faces=faces, others=others)["swapped"]
    assert swapped.dtype == tf.uint8 and swapped.shape == (2, 96, 96, 3)
    assert np.abs(swapped.numpy() - (mixed.numpy() + 1) * 127.5).max() <= 1.1
    with pytest.raises(tf.errors.InvalidArgumentError, match="must be as many"):
        loaded["swap"](faces=faces, others=others[:1])
    files = tf.constant([cv2.imencode(".png", face)[1].tobytes() for face in faces.numpy()])
    from_files = loaded["from_jpeg"](pictures=files)["expression_probabilities"]
    np.testing.assert_allclose(from_files, P, atol=1e-6)
    other_size = cv2.imencode(".png", np.zeros((40, 48), np.uint8))[1].tobytes()
    with pytest.raises(tf.errors.InvalidArgumentError, match="not 48 x 48"):
        loaded["from_jpeg"](pictures=tf.constant([other_size]))


def test_the_folder_has_card_and_warm_up(run, served, in_colour, signatures):
    for name, inputs in read_warmup(served):
        answer = signatures(served)[name](**inputs)
        assert all(len(value) == 1 for value in answer.values())
    text = (served / README).read_text()
    for line in ("expressions of faces", "not what a person feels", "without weights of others",
                 "FER2013", "Not measured"):  # fmt: skip
        assert line in text
    text = (in_colour / README).read_text()
    assert "On 16 labelled pictures" in text and "| weights | mine |" in text
    assert json.loads((in_colour / CARD).read_text())["metrics"] == METRICS
    file = run.parent / "metrics.json"
    for wrong in ({"per_au": {}}, {**METRICS, "kind": "action_units"}, {**METRICS, "per_class": 3}):
        file.write_text(json.dumps(wrong))
        with pytest.raises(UserError, match="for a model of expressions"):
            export(run, run.parent / "wrong", metrics=file)
    assert not (run.parent / "wrong").exists()


@pytest.mark.parametrize("channels", [1, 3])
def test_a_face_is_cut_as_the_training_pictures_were(
    channels, served, in_colour, photo, signatures
):
    folder = {1: served, 3: in_colour}[channels]
    predictor = Predictor(folder, faces="all", threads=1)
    rows = list(predictor.predict(photo))
    assert len(rows) == 2 and all(row.success for row in rows)
    image = cv2.imread(str(photo))
    faces = [
        cut(image, face_matrix(face.landmarks49, SIZE), SIZE, channels)
        for face in FaceAligner("all").analyse(image)
    ]
    said = predictor.predict_crops(np.stack(faces))
    found = {tuple(row.probabilities.values()) for row in rows}
    assert found == {tuple(p) for p in said["expression_probabilities"].tolist()}
    # The server cuts the same faces out of the whole picture.
    landmarks = np.stack([face.landmarks68 for face in FaceAligner("all").analyse(image)])
    answer = signatures(folder)["from_landmarks"](
        pictures=tf.constant([photo.read_bytes()] * 2), landmarks=tf.constant(landmarks)
    )
    np.testing.assert_allclose(
        answer["expression_probabilities"], said["expression_probabilities"], atol=1e-6
    )
    assert predictor.action_units == ()


def test_the_command(served, photo, tmp_path, capsys):
    wall = tmp_path / "wall.png"
    cv2.imwrite(str(wall), np.full((90, 90, 3), 99, np.uint8))
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    output = tmp_path / "out.csv"
    files = [str(photo), str(wall), str(tmp_path / "bad.jpg")]
    given = ["", f"--model={served}", f"--output={output}", "--faces=all", *files]
    assert predict([*given, f"--annotate={tmp_path / 'drawn'}"]) == 0
    capsys.readouterr()
    rows = rows_of(output)
    assert [row["status"].split(":")[0] for row in rows] == ["ok", "ok", "no_face", "unreadable"]
    columns = [f"p_{name}" for name in EXPRESSIONS]
    assert list(rows[0])[7:] == ["expression", "entropy", *columns]
    for row in rows[:2]:
        P = [int(row[name].replace(".", "")) for name in columns]
        assert sum(P) == 10**6
        assert row["expression"] == EXPRESSIONS[int(np.argmax(P))]
        p = np.array(P) / 1e6
        assert float(row["entropy"]) == pytest.approx(-(p * np.log(p)).sum(), abs=1e-6)
    assert all(row[name] == "" for row in rows[2:] for name in list(row)[7:])
    drawn = cv2.imread(str(tmp_path / "drawn" / "two_expressions.png"))
    image = cv2.imread(str(photo))
    assert drawn.shape[1] > image.shape[1] * drawn.shape[0] / image.shape[0] + 200
    first = output.read_bytes()
    assert predict(given) == 0 and output.read_bytes() == first

    lite = [f"--model={served / 'tflite' / 'float32.tflite'}", f"--output={tmp_path / 'lite.csv'}"]
    assert predict(["", *lite, *given[3:], f"--annotate={tmp_path / 'lite'}"]) == 0
    found = rows_of(tmp_path / "lite.csv")
    assert list(found[0]) == list(rows[0])
    numbers = ["entropy", *columns]
    for here, there in zip(rows, found, strict=True):
        assert {k: v for k, v in here.items() if k not in numbers} == {
            k: v for k, v in there.items() if k not in numbers
        }
        if here["entropy"]:
            P, Q = ([float(row[name]) for name in numbers] for row in (here, there))
            np.testing.assert_allclose(P, Q, atol=1e-5)
    again = cv2.imread(str(tmp_path / "lite" / "two_expressions.png"))
    assert again.shape == drawn.shape


def damaged(served: Path, folder: Path, **changes) -> Path:
    """A copy with another description."""
    copy = Path(shutil.copytree(served, folder / "1"))
    document = json.loads((copy / CARD).read_text()) | changes
    (copy / CARD).write_text(json.dumps({k: v for k, v in document.items() if v is not None}))
    return copy


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "voices"}, "of the kind 'voices', this program knows action_units, expressions"),
        ({"kind": ["a"]}, "of the kind"),
        ({"kind": None}, "KeyError 'action_units'"),
        ({"anchors": None}, "KeyError 'anchors'"),
        ({"anchors": [[0.5, 0.5]]}, r"anchors is \[1, 2\] for 8 expressions, wanted \[3, 2\]"),
        ({"expressions": ["joy"]}, "expressions joy are not neutral, happiness"),
        ({"crop_shape": [48, 40]}, "are no squares"),
        ({"channels": 2}, "are no squares"),
        ({"channels": 3}, r"must take uint8 faces"),
    ],
)
def test_a_description_that_does_not_fit(served, tmp_path, changes, message):
    with pytest.raises(UserError, match=message) as raised:
        ServingModel(damaged(served, tmp_path, **changes))
    assert "\n" not in str(raised.value)
