"""Tests; `tests.reference` holds the referees that several of them import."""
