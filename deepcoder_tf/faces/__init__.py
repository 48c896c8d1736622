"""Faces on the host side: read pictures and video, detect, find landmarks, register and crop.

Needs OpenCV, Pillow and dlib, never TensorFlow. `FaceAligner` in `aligner` is the door for those
who only want crops.
"""

__all__: list[str] = []
