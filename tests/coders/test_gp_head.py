"""The ordinal head that a GP coder solves for: what moves, and which frames count."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from deepcoder_tf.coders import gp_coder
from deepcoder_tf.coders.gp_coder import GPCoder
from deepcoder_tf.coders.sparse_vogpae import SparseVOGPAE
from deepcoder_tf.coders.vogpae import VOGPAE
from deepcoder_tf.types import Gaussian
from tests.coders.problems import codes

N, ANCHORS, D0, D1, Q = 40, 15, 5, 3, 2
HEAD = ("W", "raw_first", "raw_gaps")


def coder_of(kind: str, z: Gaussian, labels: np.ndarray, **options) -> GPCoder:
    """A coder that has just started: VO-GPAE on all frames, or a sparse one on some anchors."""
    options = {"head_steps": 30, "init": "labels", **options}
    if kind == "exact":
        coder, rows = VOGPAE(N, D0, D1, Q, **options), np.arange(N)
    else:
        rows = np.arange(0, N, 2)[:ANCHORS]
        coder = SparseVOGPAE(ANCHORS, D0, D1, Q, inducing=6, **options)
    coder.build()
    coder.observe(Gaussian(z.mean[rows], z.var[rows]), labels[rows], first=True)
    coder.refresh()
    return coder


SUBJECTS = np.array(["a", "b", "c", "d"])[np.arange(N) // 10]


def own_rows(coder: GPCoder) -> np.ndarray:
    """Where the coder's own points are among the frames."""
    return np.arange(N) if isinstance(coder, VOGPAE) else np.arange(0, N, 2)[:ANCHORS]


def fit(coder: GPCoder, z: Gaussian, labels: np.ndarray, subjects: np.ndarray = SUBJECTS) -> None:
    """Solves for the head as a trainer does."""
    coder.fit_labels(z, labels, subjects, own_rows(coder))


def values(coder: GPCoder) -> dict[str, np.ndarray]:
    """Every weight by name."""
    return {v.name: v.numpy().copy() for v in coder.variables}


def objective(coder: GPCoder, z: Gaussian, labels: np.ndarray) -> float:
    """Expected log-probability of all labels and the prior of W, which the head maximises."""
    q = coder.encode_train(tf.constant(z.mean), tf.range(N))
    label = coder.label_log_prob(q, q.mean, tf.constant(labels))
    prior = 0.5 * np.sum((coder.W - coder.W_centre) ** 2) / coder.head_prior**2
    return float(tf.reduce_sum(label)) - float(prior)


@pytest.mark.parametrize("kind", ["exact", "sparse"])
def test_the_head_alone_moves_and_fits_the_labels_better(kind):
    z, labels = codes(N, D0, Q)
    coder = coder_of(kind, z, labels)
    before, worse = values(coder), objective(coder, z, labels)
    fit(coder, z, labels)
    moved = {name for name, old in values(coder).items() if not np.array_equal(old, before[name])}
    assert moved == set(HEAD)
    assert objective(coder, z, labels) > worse + 1


def test_without_steps_or_labels_nothing_moves():
    z, labels = codes(N, D0, Q)
    for options, known in (({"head_steps": 0}, labels), ({}, np.full_like(labels, -1))):
        coder = coder_of("exact", z, labels, **options)
        before = values(coder)
        fit(coder, z, known)
        for name, now in values(coder).items():
            np.testing.assert_array_equal(now, before[name])


@pytest.mark.parametrize("kind", ["exact", "sparse"])
def test_of_few_labelled_frames_none_is_passed_over(kind, monkeypatch):
    z, labels = codes(N, D0, Q)
    labels[np.arange(N) % 4 != 1] = -1
    labels[1::4] = np.maximum(labels[1::4], 0)
    whole = coder_of(kind, z, labels)
    fit(whole, z, labels)
    monkeypatch.setattr(gp_coder, "HEAD_FRAMES", N // 4)
    found = coder_of(kind, z, labels)
    fit(found, z, labels)
    for name in HEAD:
        np.testing.assert_array_equal(getattr(found, name), getattr(whole, name))
    monkeypatch.setattr(gp_coder, "HEAD_FRAMES", N // 8)
    fewer = coder_of(kind, z, labels)
    fit(fewer, z, labels)
    assert np.abs(fewer.W - whole.W).max() > 1e-3


@pytest.mark.parametrize("kind", ["exact", "sparse"])
def test_codes_left_out_are_those_of_a_coder_without_the_subject(kind):
    """The referee has the others' points alone, and for the rest the same parameters."""
    z, labels = codes(N, D0, Q)
    coder = coder_of(kind, z, labels)
    own = own_rows(coder)
    q = coder.encode_left_out(tf.constant(z.mean), SUBJECTS, SUBJECTS[own])
    amplitude, lengthscales, noise = (v.numpy() for v in coder.encoder)
    x = (z.mean - coder.offset) / coder.scale
    for subject in "abcd":
        rows, kept = np.flatnonzero(subject == SUBJECTS), subject != SUBJECTS[own]
        U, M = coder.Z0.numpy()[kept], coder.M.numpy()[kept]

        def kernel(a, b):
            d = ((a[:, None] / lengthscales - b[None] / lengthscales) ** 2).sum(-1)
            return amplitude * np.exp(-0.5 * d)

        C = kernel(U, U) + noise * np.eye(len(U))
        k = kernel(x[rows], U)
        np.testing.assert_allclose(
            q.mean.numpy()[rows], k @ np.linalg.solve(C, M), rtol=0, atol=1e-8
        )
        var = amplitude + noise - np.einsum("ij,ji->i", k, np.linalg.solve(C, k.T))
        np.testing.assert_allclose(
            q.var.numpy()[rows], var[:, None] + coder.code_variance, rtol=1e-8, atol=0
        )


@pytest.mark.parametrize("kind", ["exact", "sparse"])
def test_a_head_for_unseen_people_trusts_the_codes_less(kind):
    z, labels = codes(N, D0, Q)
    sure, careful = (coder_of(kind, z, labels, head_codes=c) for c in ("own", "left_out"))
    for coder in (sure, careful):
        fit(coder, z, labels)
    strangers = careful.encode_left_out(tf.constant(z.mean), SUBJECTS, SUBJECTS[own_rows(careful)])

    def score(coder: GPCoder) -> float:
        return float(tf.reduce_sum(coder.label_log_prob(strangers, strangers.mean, labels)))

    assert score(careful) > score(sure)


def test_with_one_subject_nobody_can_be_left_out():
    z, labels = codes(N, D0, Q)
    alone = np.full(N, "a")
    one, two = (coder_of("sparse", z, labels, head_codes=c) for c in ("own", "left_out"))
    fit(one, z, labels, alone)
    fit(two, z, labels, alone)
    for name in HEAD:
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
