"""Action units and the face units that they drive."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepcoder_tf.action_units import DISFA, FERA2015
from deepcoder_tf.synthesis.expression import ACTION_UNITS, GAINS, unit_weights
from deepcoder_tf.synthesis.figure import Figure, Moment
from deepcoder_tf.synthesis.head import load_head


def test_both_data_sets_can_be_shown():
    assert set(DISFA) | set(FERA2015) <= set(ACTION_UNITS)


def test_level_five_has_the_gains_of_the_table():
    assert unit_weights({"AU26": 5.0}) == {"jawOpen": GAINS["AU26"]["jawOpen"]}
    assert unit_weights({"AU26": 0.0}) == {}


def test_two_action_units_add_where_they_share_a_face_unit():
    alone = unit_weights({"AU04": 5.0})["browDownLeft"]
    with_nine = unit_weights({"AU04": 5.0, "AU09": 5.0})["browDownLeft"]
    assert with_nine == pytest.approx(alone + GAINS["AU09"]["browDown"])


def test_asymmetry_moves_one_side_more_and_the_other_less():
    weights = unit_weights({"AU12": 5.0}, {"AU12": 0.1})
    gain = GAINS["AU12"]["mouthSmile"]
    assert weights["mouthSmileLeft"] == pytest.approx(1.1 * gain)
    assert weights["mouthSmileRight"] == pytest.approx(0.9 * gain)


@given(st.sampled_from(ACTION_UNITS), st.floats(0, 5), st.floats(0, 5))
def test_more_intensity_never_means_less_movement(name: str, a: float, b: float):
    low, high = (unit_weights({name: x}) for x in sorted((a, b)))
    assert all(high[unit] >= weight for unit, weight in low.items())


@pytest.mark.parametrize(
    ("intensities", "message"),
    [
        ({"AU99": 1.0}, r"the head cannot show 'AU99'; it can show AU01, "),
        ({"AU12": 5.5}, r"AU12 at intensity 5\.5 is outside 0 to 5"),
        ({"AU12": -1.0}, r"AU12 at intensity -1\.0 is outside 0 to 5"),
        ({"AU12": float("nan")}, r"AU12 at intensity nan is outside 0 to 5"),
    ],
)
def test_what_cannot_be_shown_is_refused(intensities: dict[str, float], message: str):
    with pytest.raises(ValueError, match=message):
        unit_weights(intensities)


# Height above the chin's tip where each action unit does most of its work, in decimetres: the
# lips are near 6.6, the eyes near 7.28, the brows near 7.5.
REGIONS = {
    "AU01": (7.3, 7.9),
    "AU02": (7.3, 7.9),
    "AU04": (7.3, 7.9),
    "AU05": (7.2, 7.5),
    "AU06": (6.5, 7.4),
    "AU09": (6.7, 7.7),
    "AU10": (6.5, 7.0),
    "AU12": (6.4, 7.1),
    "AU14": (6.4, 6.9),
    "AU15": (6.3, 6.8),
    "AU17": (6.2, 6.8),
    "AU20": (6.3, 6.9),
    "AU25": (6.3, 6.8),
    "AU26": (6.1, 6.9),
}


@pytest.mark.parametrize("name", sorted(REGIONS))
def test_an_action_unit_moves_its_own_region(subject, name: str):
    figure = Figure(subject)
    rest = figure.pose({}, Moment())
    moved = np.linalg.norm(figure.pose({name: 5.0}, Moment()) - rest, axis=1)
    head = load_head()
    neutral = head.vertices
    outside = head.masks["mouth"] < 0.1
    strong = (moved[: len(neutral)] > 0.5 * moved.max()) & outside
    lowest, highest = np.percentile(neutral[strong, 1], [5, 95])
    low, high = REGIONS[name]
    assert low < lowest and highest < high
    # A strong expression moves skin by millimetres to a few centimetres.
    assert 0.03 < moved.max() < 0.5
    assert moved[len(neutral) :].max() == 0, "eyeballs do not follow the skin"


def test_brows_do_not_move_the_mouth_nor_the_mouth_the_brows(subject):
    figure = Figure(subject)
    rest = figure.pose({}, Moment())
    height = load_head().vertices[:, 1]
    for names, still in (
        (("AU01", "AU02", "AU04"), height < 6.9),
        (("AU12", "AU15"), height > 7.5),
    ):
        posed = figure.pose(dict.fromkeys(names, 5.0), Moment())
        moved = np.linalg.norm(posed - rest, axis=1)[: len(height)]
        assert moved[still].max() < 0.08 * moved.max()
