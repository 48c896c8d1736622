"""A recogniser that sees landmarks, from a prepared folder to the CSV of deepcoder-predict."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
import tensorflow as tf

from deepcoder_tf.cli import evaluate, predict, train
from deepcoder_tf.datasets.expressions.store import expression_info, load_expressions
from deepcoder_tf.experiment.exporting import export
from deepcoder_tf.export import CARD
from deepcoder_tf.export.savedmodel import README
from deepcoder_tf.expressions import EXPRESSIONS
from deepcoder_tf.face_model import POINTS
from deepcoder_tf.faces.aligner import FaceAligner
from deepcoder_tf.faces.squares import ANCHORS, anchors_in, cut, face_matrix, move_points
from deepcoder_tf.prediction import Predictor
from deepcoder_tf.training.expression_run import load_recogniser
from tests.experiment.expression_folders import photographed_face, prepared_folder, saved_run
from tests.integration.tiny_job import do, fails, table

SIDE = 96
PATCHES = {"system": "gacnn", "trunk_endpoint": "Block35", "patch_filters": 3}
"""The map of the patches is the trunk's last."""

COLUMNS = [f"p_{name}" for name in EXPRESSIONS]


def photographed(folder: Path, *flags: str, **options) -> Path:
    """A prepared folder of a real face, with landmarks."""
    options = {"size": SIDE, "draw": photographed_face, **options}
    return prepared_folder(folder, flags=("--store_landmarks", *flags), **options)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Pictures that others have cut: eyes and nose lie elsewhere than in squares cut by dlib."""
    return photographed(tmp_path_factory.mktemp("data"), "--align=none")


@pytest.fixture(scope="module")
def run(data, tmp_path_factory) -> Path:
    """gACNN on these."""
    return saved_run(tmp_path_factory.mktemp("runs") / "run", data, **PATCHES)


@pytest.fixture(scope="module")
def served(run) -> Path:
    """Its export."""
    return export(run, run.parent / "served")


@pytest.fixture(scope="module")
def photo(tmp_path_factory) -> Path:
    """The astronaut, in a picture that is no square."""
    path = tmp_path_factory.mktemp("photos") / "astronaut.png"
    image = cv2.cvtColor(skimage.data.astronaut(), cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(path), image[:400])
    return path


def test_evaluation_gives_each_picture_its_own_landmarks(run, data, tmp_path):
    """Also those in which no face was found."""
    arguments = [f"--model_dir={run}", f"--data_dir={data}", f"--output_dir={tmp_path}"]
    do(evaluate.main, *arguments, "--split=validation")
    model, _ = load_recogniser(run)
    frames = load_expressions(data).of("validation")
    images, points = np.asarray(frames.images), np.asarray(frames.landmarks)
    found = np.isfinite(points).all(axis=(1, 2))
    assert found.sum() == len(found) - 2  # two walls
    filled = np.where(np.isfinite(points), points, model.mean_landmarks.numpy())
    with np.load(tmp_path / "predictions.npz") as arrays:
        told = arrays["probabilities"]
    P = model(tf.constant(images), tf.constant(filled))["expression_probabilities"]
    np.testing.assert_allclose(told, P, atol=1e-5)
    shifted = model(tf.constant(images), tf.constant(filled + 2))["expression_probabilities"]
    assert np.abs(told - shifted).max() > 1e-3
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["system"] == "gacnn" and metrics["labelled"] == 32


def test_the_export_says_what_it_needs(served, data):
    card = json.loads((served / CARD).read_text())
    for name in ("serving_default", "from_jpeg", "encode"):
        told = card["signatures"][name]["inputs"]["landmarks"]
        assert (told["dtype"], told["shape"]) == ("float32", [None, POINTS, 2])
        assert "pixels (x, y) of the square" in told["meaning"]
    whole = card["signatures"]["from_landmarks"]["inputs"]["landmarks"]
    assert whole["shape"] == [None, None, 2] and "of the picture" in whole["meaning"]
    asked = {"serving_default", "from_jpeg", "from_landmarks", "encode", "describe"}
    assert set(card["signatures"]) == asked
    assert card["anchors"] == [list(point) for point in expression_info(data).anchors]
    assert np.abs(np.array(card["anchors"]) - ANCHORS).max() > 0.02
    assert "This model sees landmarks too: 49 inner points" in (served / README).read_text()


def test_the_export_answers_as_the_run(run, served, data):
    model, _ = load_recogniser(run)
    loaded = tf.saved_model.load(str(served)).signatures
    frames = load_expressions(data).of("validation")
    parts = (frames.images, frames.landmarks)
    faces, points = (tf.constant(np.asarray(part)[:9]) for part in parts)
    P = model(faces, points)["expression_probabilities"]
    said = loaded["serving_default"](faces=faces, landmarks=points)["expression_probabilities"]
    np.testing.assert_allclose(said, P, atol=1e-5)
    codes = loaded["encode"](faces=faces, landmarks=points)["expression_code"]
    wanted = model.codes(model.pictures(faces), points)["expression"]
    np.testing.assert_allclose(codes, wanted, atol=1e-5)
    bgr = faces.numpy()[..., ::-1]
    files = tf.constant([cv2.imencode(".png", face)[1].tobytes() for face in bgr])
    said = loaded["from_jpeg"](pictures=files, landmarks=points)["expression_probabilities"]
    np.testing.assert_allclose(said, P, atol=1e-5)
    taken = {"serving_default": {"faces": faces}, "encode": {"faces": faces}}
    taken["from_jpeg"] = {"pictures": files}
    for name, given in taken.items():
        for few in (1, 5):
            told = rf"landmarks must be as many, got\] \[9\] \[{few}\]"
            with pytest.raises(tf.errors.InvalidArgumentError, match=told):
                loaded[name](**given, landmarks=points[:few])


def face_of(photo: Path, anchors: list[list[float]]) -> tuple[np.ndarray, np.ndarray]:
    """The face of a photograph as the model wants it, and its landmarks, step by step."""
    image = cv2.imread(str(photo))
    (face,) = FaceAligner().analyse(image)
    matrix = face_matrix(face.landmarks49, SIDE, anchors)
    return cut(image, matrix, SIDE, 3), move_points(face.landmarks49, matrix)


def test_a_photograph_is_predicted_as_the_run_predicts_its_face(run, served, photo, tmp_path):
    """The face comes to where those of the prepared folder lie, and its landmarks with it."""
    model, told = load_recogniser(run)
    square, points = face_of(photo, told.anchors)
    assert np.abs(anchors_in(points, SIDE) - told.anchors).max() < 0.03
    other, moved = face_of(photo, ANCHORS.tolist())
    faces = tf.constant(np.stack([square, square, other]))
    landmarks = tf.constant(np.stack([points, points + 1, moved]))
    # Neither other landmarks nor another place of the face would give these numbers.
    P, *wrong = model(faces, landmarks)["expression_probabilities"].numpy()
    assert min(np.abs(p - P).max() for p in wrong) > 1e-3
    predictor = Predictor(served, threads=1)
    assert predictor.model.needs_landmarks
    (row,) = predictor.predict(photo)
    np.testing.assert_allclose(list(row.probabilities.values()), P, atol=1e-5)
    said = predictor.predict_crops(square[np.newaxis], points[np.newaxis])
    np.testing.assert_allclose(said["expression_probabilities"][0], P, atol=1e-5)
    with pytest.raises(
        ValueError, match=r"wants landmarks \[1, 49, 2\] beside the crops, got None"
    ):
        predictor.predict_crops(square[np.newaxis])
    output = tmp_path / "out.csv"
    do(predict.main, f"--model={served}", f"--output={output}", f"--annotate={tmp_path}", photo)
    (line,) = table(output)
    np.testing.assert_allclose([float(line[name]) for name in COLUMNS], P, atol=2e-5)
    assert line["status"] == "ok" and line["expression"] == EXPRESSIONS[int(P.argmax())]
    assert (tmp_path / "astronaut_expressions.png").is_file()


def test_sources_are_predicted_as_their_prepared_squares_are(tmp_path):
    """Where dlib cut the squares of the folder, prediction cuts the same ones."""
    data = photographed(tmp_path, "--align=dlib", copies=1)
    run = saved_run(tmp_path / "run", data, **PATCHES)
    arguments = [f"--model_dir={run}", f"--data_dir={data}", f"--output_dir={tmp_path / 'results'}"]
    do(evaluate.main, *arguments, "--split=validation")
    model, output = export(run, tmp_path / "served"), tmp_path / "out.csv"
    prepared = table(tmp_path / "results" / "predictions.csv")
    files = [tmp_path / row["file"] for row in prepared]
    do(predict.main, f"--model={model}", f"--output={output}", *files)
    found = table(output)
    assert len(found) == len(prepared) > 8
    ours, theirs = (
        np.array([[float(row[name]) for name in COLUMNS] for row in rows])
        for rows in (found, prepared)
    )
    np.testing.assert_allclose(ours, theirs, atol=2e-5)
    assert np.ptp(ours, axis=0).max() > 1e-3


# Mistakes -----------------------------------------------------------------------------------------


def test_a_folder_without_landmarks_is_named(run, tmp_path, capsys):
    data = prepared_folder(tmp_path, size=SIDE, copies=1)
    where = [f"--data_dir={data}", f"--model_dir={run}"]
    out = f"--output_dir={tmp_path / 'out'}"
    told = fails(capsys, evaluate.main, *where, out, "--split=validation")
    assert f"{run} sees landmarks, but {data} has none" in told and "--store_landmarks" in told
    where = [f"--data_dir={data}", f"--model_dir={tmp_path / 'run'}"]
    options = ["--system=gacnn", "--preset=small", "--trunk_weights=random"]
    told = fails(capsys, train.main, *where, *options)
    assert f"--system=gacnn needs landmarks, and {data} has none" in told
    assert "--store_landmarks" in told and not (tmp_path / "run").exists()


def test_landmarks_that_do_not_fit_are_named(run, data, tmp_path, capsys):
    damaged = Path(shutil.copytree(data, tmp_path / "damaged"))
    points = np.load(damaged / "landmarks.npy")
    where = [f"--model_dir={run}", f"--data_dir={damaged}", "--split=validation"]
    for content in (points[:-1], points[:, :30], points.astype(np.float64)):
        np.save(damaged / "landmarks.npy", content)
        told = fails(capsys, evaluate.main, *where, f"--output_dir={tmp_path / 'out'}")
        assert "landmarks are " in told and "prepare the folder again" in told
    (damaged / "landmarks.npy").write_bytes(b"no array")
    told = fails(capsys, evaluate.main, *where, f"--output_dir={tmp_path / 'out'}")
    assert "landmarks.npy: cannot be read" in told and not (tmp_path / "out").exists()
