"""Probes find what a code holds, and nothing where it holds nothing."""

from __future__ import annotations

import json

import numpy as np
import pytest

from deepcoder_tf.evaluation import probes
from deepcoder_tf.evaluation.probes import halves, identity_probes, probe_codes


def ring(rng, pictures: int) -> tuple[np.ndarray, np.ndarray]:
    """Two classes that a line cannot part: the inside of a ring and the ring."""
    y = rng.integers(0, 2, pictures)
    angle = rng.uniform(0, 2 * np.pi, pictures)
    radius = np.where(y, 3.0, 1.0) + 0.1 * rng.normal(size=pictures)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1), y


def test_the_second_layer_finds_what_the_line_does_not():
    rng = np.random.default_rng(0)
    found = probe_codes(*ring(rng, 1000), *ring(rng, 300))
    assert found["linear"].accuracy < 0.7 and found["mlp"].accuracy > 0.95


def test_a_linear_code_is_read_and_noise_is_not():
    rng = np.random.default_rng(0)
    y = rng.choice(8, 1200, p=[0.44, *[0.08] * 7])
    noise = rng.normal(size=(1200, 12))
    code = 3 * np.eye(8, 12)[y] + noise
    clear = probe_codes(code[:800], y[:800], code[800:], y[800:])
    empty = probe_codes(noise[:800], y[:800], noise[800:], y[800:])
    assert min(p.accuracy for p in clear.values()) > 0.85
    assert max(p.accuracy for p in empty.values()) < 0.5
    assert max(p.balanced_accuracy for p in empty.values()) < 0.2


def test_the_same_seed_gives_the_same_numbers(monkeypatch):
    monkeypatch.setattr(probes, "PICTURES", 200)
    rng = np.random.default_rng(1)
    parts = (*ring(rng, 500), *ring(rng, 100))
    assert probe_codes(*parts, seed=3) == probe_codes(*parts, seed=3)


def test_few_pictures_of_a_class_and_a_constant_code_do_no_harm():
    Z, y = np.ones((9, 3)), np.array([0] * 8 + [5])
    assert probe_codes(Z, y, Z, y)["mlp"].accuracy == pytest.approx(8 / 9)
    assert probe_codes(Z, y, Z, y)["linear"].balanced_accuracy == 0.5


def test_few_pictures_are_many_steps(monkeypatch):
    """A probe that gives up after a handful of steps would call a code clean that is not."""
    rng = np.random.default_rng(0)
    y = np.arange(400) % 10
    code = rng.normal(size=(10, 6))[y] + 0.4 * rng.normal(size=(400, 6))
    parts = code[:200], y[:200], code[200:], y[200:]
    assert probe_codes(*parts)["mlp"].accuracy > 0.9
    for name in ("STEPS", "PATIENT_STEPS"):
        monkeypatch.setattr(probes, name, 0)
    assert probe_codes(*parts)["mlp"].accuracy < 0.85


def test_halves_take_every_person_apart():
    who = np.array(["a"] * 5 + ["b"] * 2 + ["c"] + [""] * 3)
    first, second = halves(who, 0)
    assert sorted([*first, *second]) == list(range(7))
    assert [np.sum(who[first] == name) for name in "ab"] == [3, 1]
    assert not np.array_equal(halves(who, 0)[0], halves(who, 5)[0])


def test_identity_is_read_off_the_code_that_holds_it():
    rng = np.random.default_rng(0)
    who = np.array([f"p{i % 10}" for i in range(200)])
    codes = {
        "expression": rng.normal(size=(200, 6)),
        "non_expression": 4 * np.eye(10)[np.arange(200) % 10] + rng.normal(size=(200, 10)),
    }
    found = identity_probes(codes, who)
    counts = {"people", "train_pictures", "test_pictures", "majority_rate"}
    assert set(found.to_json()) == counts | set(codes)
    assert found.people == 10 and found.train_pictures == found.test_pictures == 100
    assert found.majority_rate == pytest.approx(0.1)
    assert found.codes["non_expression"]["linear"].accuracy > 0.9
    assert found.codes["expression"]["linear"].accuracy < 0.3
    assert json.loads(json.dumps(found.to_json()))["expression"]["mlp"]["accuracy"] < 0.3


@pytest.mark.parametrize("who", [["", "", ""], ["a", "b", "c"], ["a", "a", "b"]])
def test_without_two_people_with_several_pictures_there_is_no_probe(who):
    assert identity_probes({"expression": np.ones((3, 2))}, who) is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: probe_codes(np.ones((3, 2)), [1, 1, 1], np.ones((1, 2)), [1]), "two classes"),
        (lambda: probe_codes(np.ones((2, 2)), [0, 1], np.ones((0, 2)), []), "a test picture"),
        (lambda: probe_codes(np.ones((2, 2)), [0], np.ones((1, 2)), [1]), r"not \[N, D\]"),
        (lambda: probes.classifier("tree", np.arange(2), 0), "not one of"),
    ],
)
def test_misuse_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
