"""Tests of the Gaussian-process algebra."""
