"""What a code still tells: classifiers trained on frozen codes, after the training of the network.

An adversary that the encoder fools is not yet a code without expressions: the encoder only had to
beat that one linear classifier as it was then. Probes begin afresh on the finished code, a linear
one and one with a hidden layer; what they reach above the majority's rate is the real leak.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["IdentityProbes", "Probe", "halves", "identity_probes", "probe", "probe_codes"]

PICTURES = 8000
"""Training pictures of a probe at most; drawn at random, in their natural frequencies."""

HIDDEN = 128
"""Width of the hidden layer."""

LINEAR_STEPS = 200
"""Iterations of the linear probe at most; standardised codes need fewer."""

EPOCHS, STEPS = 60, 2500
"""The probe with a hidden layer makes so many epochs at most, or so many steps where an epoch is
short; it stops before when held-out pictures gain nothing."""

PATIENCE, PATIENT_STEPS = 10, 500
"""Epochs without a gain, or steps where an epoch is short. A probe that stops early makes a code
look cleaner than it is."""

BATCH = 64
"""Pictures in a step; small, so that few pictures are many steps."""

HELD_OUT = 0.1
"""Share of the training pictures that tells when to stop."""

PROBES = ("linear", "mlp")
"""Multinomial logistic regression, and a perceptron with one hidden layer."""


@dataclass(frozen=True)
class Probe:
    """What a probe reached.

    Attributes:
      accuracy: share of the test pictures told right.
      balanced_accuracy: mean recall of the classes among them.
    """

    accuracy: float
    balanced_accuracy: float


@dataclass(frozen=True)
class IdentityProbes:
    """Who is seen, told from codes.

    Attributes:
      people: who have several pictures in the split.
      train_pictures: half of each person's pictures.
      test_pictures: the other half.
      majority_rate: share of the person with the most test pictures.
      codes: by code, then by probe.
    """

    people: int
    train_pictures: int
    test_pictures: int
    majority_rate: float
    codes: dict[str, dict[str, Probe]]

    def to_json(self) -> dict[str, Any]:
        """Plain types only; the codes beside the counts."""
        content = asdict(self)
        codes = content.pop("codes")
        return {**content, **codes}


def probe_codes(
    train_codes: ArrayLike,
    train_labels: ArrayLike,
    test_codes: ArrayLike,
    test_labels: ArrayLike,
    seed: int = 0,
) -> dict[str, Probe]:
    """Both probes on one code.

    Args:
      train_codes: `[N, D]`; at most `PICTURES` of them are used.
      train_labels: `[N]` classes, all known.
      test_codes: `[M, D]`.
      test_labels: `[M]` classes, all known.
      seed: of the choice of pictures and of the weights.

    Returns:
      By probe, `linear` and `mlp`.

    Raises:
      ValueError: shapes that do not fit, or fewer than two classes to learn.
    """
    return {
        kind: probe(kind, train_codes, train_labels, test_codes, test_labels, seed)
        for kind in PROBES
    }


def probe(
    kind: str,
    train_codes: ArrayLike,
    train_labels: ArrayLike,
    test_codes: ArrayLike,
    test_labels: ArrayLike,
    seed: int = 0,
) -> Probe:
    """Trains one probe on standardised codes and measures it; arguments as of `probe_codes`.

    Args:
      kind: `linear` or `mlp`.
      train_codes: `[N, D]`.
      train_labels: `[N]`.
      test_codes: `[M, D]`.
      test_labels: `[M]`.
      seed: see `probe_codes`.

    Returns:
      What it reached.

    Raises:
      ValueError: as `probe_codes`, or an unknown kind.

    Source: Alain and Bengio, Understanding intermediate layers using linear classifier probes
    (2016).
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.metrics import recall_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    Z, y = checked(train_codes, train_labels)
    test, wanted = checked(test_codes, test_labels)
    if len(np.unique(y)) < 2 or not len(wanted):
        raise ValueError("a probe needs training pictures of two classes, and a test picture")
    if len(y) > PICTURES:
        chosen = np.sort(np.random.default_rng([seed, 3]).choice(len(y), PICTURES, replace=False))
        Z, y = Z[chosen], y[chosen]
    model = make_pipeline(StandardScaler(), classifier(kind, y, seed))
    with warnings.catch_warnings():
        # The number of iterations is bounded on purpose.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(Z, y)
    found = model.predict(test)
    recall = recall_score(wanted, found, labels=np.unique(wanted), average="macro", zero_division=0)
    return Probe(float(np.mean(found == wanted)), float(recall))


def classifier(kind: str, labels: np.ndarray, seed: int) -> Any:
    """The untrained classifier of a kind."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier

    if kind == "linear":
        return LogisticRegression(max_iter=LINEAR_STEPS)
    if kind != "mlp":
        raise ValueError(f"probe {kind!r} is not one of {', '.join(PROBES)}")
    classes, counts = np.unique(labels, return_counts=True)
    # Held-out pictures are drawn class by class, which needs two of each and one for each.
    can_hold_out = counts.min() > 1 and HELD_OUT * len(labels) >= len(classes)
    steps = max(1, len(labels) // BATCH)
    return MLPClassifier(
        (HIDDEN,),
        max_iter=max(EPOCHS, STEPS // steps),
        early_stopping=bool(can_hold_out),
        validation_fraction=HELD_OUT,
        n_iter_no_change=max(PATIENCE, PATIENT_STEPS // steps),
        batch_size=min(BATCH, len(labels)),
        random_state=seed,
    )


def checked(codes: ArrayLike, labels: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Codes `[N, D]` and labels `[N]`."""
    Z, y = np.asarray(codes, np.float64), np.asarray(labels)
    if Z.ndim != 2 or y.shape != (len(Z),) or not np.isfinite(Z).all():
        raise ValueError(f"codes {Z.shape} and labels {y.shape} are not [N, D], finite, and [N]")
    return Z, y


def identity_probes(
    codes: Mapping[str, np.ndarray], subjects: ArrayLike, seed: int = 0
) -> IdentityProbes | None:
    """Who is seen: probes trained on half of each person's pictures, tested on the other half.

    Args:
      codes: by name, `[N, D]`.
      subjects: `[N]` names, empty where not known.
      seed: of the halves and of the probes.

    Returns:
      What they reached; None where fewer than two known people have several pictures.

    Raises:
      ValueError: shapes that do not fit.
    """
    who = np.asarray(subjects)
    train, test = halves(who, seed)
    people = np.unique(who[test])
    if len(people) < 2:
        return None
    share = np.unique(who[test], return_counts=True)[1].max() / len(test)
    found = {
        name: probe_codes(Z[train], who[train], Z[test], who[test], seed)
        for name, Z in codes.items()
    }
    return IdentityProbes(len(people), len(train), len(test), float(share), found)


def halves(subjects: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Each person's pictures in two random halves; who has but one picture is left out.

    Args:
      subjects: `[N]` names, empty where not known.
      seed: of the draw.

    Returns:
      Sorted rows of both halves; the first is the larger where a number is odd.
    """
    rng = np.random.default_rng([seed, 4])
    parts: tuple[list[int], list[int]] = ([], [])
    for name in np.unique(subjects[subjects != ""]):
        rows = rng.permutation(np.flatnonzero(subjects == name)).tolist()
        if len(rows) > 1:
            half = (len(rows) + 1) // 2
            parts[0].extend(rows[:half])
            parts[1].extend(rows[half:])
    first, second = (np.array(sorted(part), np.int64) for part in parts)
    return first, second
