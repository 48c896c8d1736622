"""One person and one renderer for the tests that only look."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from deepcoder_tf.synthesis.renderer import Renderer
from deepcoder_tf.synthesis.subject import Subject, draw_subject


@pytest.fixture(scope="session")
def person() -> Callable[[int], Subject]:
    """Subject number k of seed 0."""

    def draw(number: int) -> Subject:
        return draw_subject(np.random.SeedSequence(entropy=0, spawn_key=(number, 0)))

    return draw


@pytest.fixture(scope="session")
def subject(person: Callable[[int], Subject]) -> Subject:
    """Somebody."""
    return person(3)


@pytest.fixture(scope="session")
def renderer(subject: Subject) -> Renderer:
    """Of the same person, 160 x 120."""
    return Renderer(subject, (160, 120))
