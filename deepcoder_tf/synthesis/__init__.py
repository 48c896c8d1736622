"""Labelled face video without a licence: a CC0 head model, its renderer and its action units."""

from __future__ import annotations

from deepcoder_tf.synthesis.dataset import SynthesisConfig, synthesize
from deepcoder_tf.synthesis.figure import Moment
from deepcoder_tf.synthesis.renderer import render
from deepcoder_tf.synthesis.subject import Subject, draw_subject

__all__ = ["Moment", "Subject", "SynthesisConfig", "draw_subject", "render", "synthesize"]
