"""What tests ask of a drawn file."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import cv2
import numpy as np

__all__ = ["read", "words"]


def read(path) -> np.ndarray:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    assert image is not None and min(image.shape[:2]) > 100
    return image


def words(path) -> str:
    """All text of an SVG; Matplotlib leaves it in comments when it draws letters as paths."""
    builder = ElementTree.TreeBuilder(insert_comments=True)
    tree = ElementTree.parse(path, ElementTree.XMLParser(target=builder))
    return " ".join(node.text or "" for node in tree.iter())
