"""Tests of the coders."""
