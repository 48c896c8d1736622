"""Pictures and videos with the face marked and a panel of bars beside it.

The panel stands at the right of the picture, so that it covers nothing; small pictures are enlarged
until the panel can be read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property, lru_cache
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from deepcoder_tf.action_units import NAMES
from deepcoder_tf.errors import UserError, explain_os_error
from deepcoder_tf.faces.videos import is_video, promised_frames
from deepcoder_tf.files import replacing
from deepcoder_tf.prediction.predictor import PredictedFrame
from deepcoder_tf.prediction.rows import UNREADABLE, Bar, FacePrediction

__all__ = ["AnnotationWriter", "Panel", "draw"]

Colour = tuple[int, int, int]

# Blue, green, red, as OpenCV has it.
BACKGROUND: Colour = (34, 28, 25)
TRACK: Colour = (58, 50, 46)
TICK: Colour = (84, 75, 70)
BRIGHT: Colour = (240, 236, 232)
DIM: Colour = (160, 150, 142)
FACE_COLOURS: tuple[Colour, ...] = (
    (196, 199, 92),
    (92, 168, 247),
    (214, 144, 190),
    (120, 206, 130),
)
"""One for each face, by its number; also the colour of its bars."""

TICKS = 5
"""Parts that ticks divide a track into: levels of action units, fifths of a probability."""

ROW, PADDING, TITLE, WIDTH = 34, 12, 34, 264
"""Pixels of one bar, of the margins, of the heading and of the panel at scale 1."""

TEXT_HEIGHT = 480
"""Pictures higher than this get a larger panel with larger text."""

MOST_PANELS = 3
"""Faces of a photo that get a panel; the others are only marked."""

MOST_PANELS_VIDEO = 2
"""The same in a video, whose width cannot change from frame to frame."""

CODEC = "mp4v"
"""MPEG-4 Part 2: the one codec that every build of OpenCV can write into an MP4."""


class Panel:
    """The bars of one face, `[height, width, 3]`; what never changes is drawn once."""

    def __init__(self, names: Sequence[str], height: int) -> None:
        """Lays the panel out.

        Args:
          names: of action units or expressions, in row order.
          height: pixels, at least `Panel.least_height(names)`.
        """
        self.names = tuple(names)
        self.height = height
        self.scale = min(height / self.least_height(names), max(1.0, height / TEXT_HEIGHT))
        self.width = round(WIDTH * self.scale)

    @staticmethod
    def least_height(names: Sequence[str]) -> int:
        """Pixels below which the text could not be read."""
        return TITLE + ROW * len(names) + 2 * PADDING

    @cached_property
    def _blank(self) -> np.ndarray:
        """Names, tracks and ticks, without values."""
        image = np.full((self.height, self.width, 3), BACKGROUND, np.uint8)
        canvas = Image.fromarray(image)
        pen = ImageDraw.Draw(canvas)
        for row, name in enumerate(self.names):
            left, top = self._px(PADDING), self._row_top(row)
            pen.text((left, top), name, DIM, _font(self._px(11), bold=True), "lt")
            beside = left + self._px(40)
            pen.text((beside, top), NAMES.get(name, ""), DIM, _font(self._px(11)), "lt")
        image = np.array(canvas)
        for row in range(len(self.names)):
            left, right, top, bottom = self._track(row)
            cv2.rectangle(image, (left, top), (right, bottom), TRACK, -1)
            for tick in range(1, TICKS):
                x = self._x(tick / TICKS)
                cv2.line(image, (x, top), (x, bottom), TICK, 1)
        return image

    def draw(self, row: FacePrediction | None, title: str, colour: Colour) -> np.ndarray:
        """The panel of one face.

        Args:
          row: what is drawn; None, or a row without a face, gives empty bars.
          title: the heading.
          colour: of the bars.

        Returns:
          `[height, width, 3]` uint8 BGR.
        """
        image = self._blank.copy()
        bars = {} if row is None else row.bars()
        for i, name in enumerate(self.names):
            if name in bars:
                self._draw_bar(image, i, bars[name], colour)
        canvas = Image.fromarray(image)
        pen = ImageDraw.Draw(canvas)
        left = self._px(PADDING)
        pen.text((left, left), title, BRIGHT, _font(self._px(13), bold=True), "lt")
        for i, name in enumerate(self.names):
            if name not in bars:
                continue
            top, bar = self._row_top(i), bars[name]
            ink = BRIGHT if bar.bright else DIM
            if bar.bright:
                pen.text((left, top), name, ink, _font(self._px(11), bold=True), "lt")
            right = self.width - left
            pen.text((right, top), bar.text, ink, _font(self._px(11), True), "rt")
        return np.array(canvas)

    def _draw_bar(self, image: np.ndarray, row: int, bar: Bar, colour: Colour) -> None:
        """The number as a bar, with its whisker where it has one."""
        left, _, top, bottom = self._track(row)
        fill = colour if bar.bright else _mix(colour, TRACK, 0.55)
        end = self._x(bar.share)
        cv2.rectangle(image, (left, top), (max(end, left + 1), bottom), fill, -1)
        if bar.whisker is None:
            return
        low, high = (self._x(share) for share in bar.whisker)
        middle, cap = (top + bottom) // 2, max(2, (bottom - top) // 3)
        weight = max(1, round(self.scale))
        cv2.line(image, (low, middle), (high, middle), BRIGHT, weight)
        for x in (low, high):
            cv2.line(image, (x, middle - cap), (x, middle + cap), BRIGHT, weight)

    def _px(self, length: float) -> int:
        return round(length * self.scale)

    def _row_top(self, row: int) -> int:
        return self._px(PADDING + TITLE + ROW * row)

    def _track(self, row: int) -> tuple[int, int, int, int]:
        """Left, right, top, bottom of a bar of full length."""
        top = self._row_top(row) + self._px(14)
        return self._px(PADDING), self.width - self._px(PADDING), top, top + self._px(9)

    def _x(self, share: float) -> int:
        left, right, _, _ = self._track(0)
        return round(left + (right - left) * share)


def draw(
    image: np.ndarray,
    rows: Sequence[FacePrediction],
    names: Sequence[str],
    panels: int = 1,
) -> np.ndarray:
    """One picture with its faces marked and their bars at the right.

    Args:
      image: `[H, W, 3]` uint8 BGR.
      rows: of this picture.
      names: of the model's action units or expressions.
      panels: faces that get a panel, those with the smallest numbers; at least 1.

    Returns:
      `[H', W', 3]` uint8 BGR with even sides (video codecs want them), H' >= H.
    """
    rows_high = max(image.shape[0], Panel.least_height(names))
    rows_high += rows_high % 2
    zoom = rows_high / image.shape[0]
    wide = max(2, round(image.shape[1] * zoom))
    how = cv2.INTER_CUBIC if zoom > 1.01 else cv2.INTER_LINEAR
    picture = cv2.resize(image, (wide, rows_high), interpolation=how)
    faces = [row for row in rows if row.success]
    for row in faces:
        _mark(picture, row, zoom)
    panel = _panel(tuple(names), rows_high)
    parts = [picture]
    for i in range(panels):
        face = faces[i] if i < len(faces) else None
        number = 0 if face is None or face.face_id is None else face.face_id
        parts.append(panel.draw(face, _title(face, rows, i, panels), _colour(number)))
    joined = np.hstack(parts)
    return joined[:, : joined.shape[1] // 2 * 2]


def _title(row: FacePrediction | None, rows: Sequence[FacePrediction], i: int, panels: int) -> str:
    faces = sum(other.success for other in rows)
    if row is None:
        return "" if i > 0 else ("unreadable" if rows[0].status == UNREADABLE else "no face")
    rest = f"  (+{faces - panels} more)" if i == panels - 1 and faces > panels else ""
    return f"face {row.face_id}{rest}"


def _mark(picture: np.ndarray, row: FacePrediction, zoom: float) -> None:
    """Corners of the face box and small dots on the landmarks, in place."""
    assert row.box is not None and row.landmarks is not None
    colour = _colour(row.face_id or 0)
    x, y, width, height = (round(side * zoom) for side in row.box)
    weight = max(1, round(picture.shape[0] / 360))
    reach = round(0.18 * min(width, height))
    for corner_x, inward_x in ((x, 1), (x + width, -1)):
        for corner_y, inward_y in ((y, 1), (y + height, -1)):
            corner = (corner_x, corner_y)
            along = (corner_x + inward_x * reach, corner_y)
            down = (corner_x, corner_y + inward_y * reach)
            cv2.line(picture, corner, along, colour, weight, cv2.LINE_AA)
            cv2.line(picture, corner, down, colour, weight, cv2.LINE_AA)
    dots = picture.copy()
    size = max(1, round(width / 110))
    for point_x, point_y in row.landmarks * zoom:
        cv2.circle(dots, (round(point_x), round(point_y)), size, BRIGHT, -1, cv2.LINE_AA)
    cv2.addWeighted(dots, 0.7, picture, 0.3, 0, dst=picture)


def _colour(face: int) -> Colour:
    return FACE_COLOURS[face % len(FACE_COLOURS)]


def _mix(a: Colour, b: Colour, share: float) -> Colour:
    return tuple(round(share * p + (1 - share) * q) for p, q in zip(a, b, strict=True))  # type: ignore[return-value]


@lru_cache(maxsize=4)
def _panel(names: tuple[str, ...], height: int) -> Panel:
    return Panel(names, height)


@lru_cache(maxsize=32)
def _font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which matplotlib brings along."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), size)


class AnnotationWriter:
    """Writes `NAME_aus.png` for a photo and `NAME_aus.mp4` for a video into one folder.

    Of a model of expressions, `NAME_expressions.png` and `.mp4`.

    A video is finished when the next file begins or at `close`; until then its name ends in
    `.partial.mp4`.
    """

    def __init__(
        self,
        folder: str | Path,
        names: Sequence[str],
        *,
        drawn: str = "aus",
        all_faces: bool = False,
        inputs: Iterable[Path] = (),
    ) -> None:
        """Makes the folder.

        Args:
          folder: where the pictures go.
          names: of the model's action units or expressions.
          all_faces: room for several panels.
          inputs: files that must not be written over.

        Raises:
          UserError: the folder cannot be made.
        """
        self.folder = Path(folder)
        self.names = tuple(names)
        self.drawn = drawn
        self.all_faces = all_faces
        self.written: list[Path] = []
        self._taken = {path.resolve() for path in inputs}
        self._video: _VideoFile | None = None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise explain_os_error(error, f"making the folder {self.folder}") from error

    def write(self, frame: PredictedFrame) -> None:
        """Draws and writes one frame; a frame that cannot be read is left out.

        Args:
          frame: with its image.

        Raises:
          UserError: the operating system refused.
        """
        if frame.number == 0:
            self.close()
        if frame.image is None:
            return
        faces = sum(row.success for row in frame.rows)
        if not is_video(frame.path):
            panels = max(1, min(faces, MOST_PANELS)) if self.all_faces else 1
            picture = draw(frame.image, frame.rows, self.names, panels)
            path = self._name(frame.path, ".png")
            with replacing(path, "wb") as stream:
                stream.write(cv2.imencode(".png", picture)[1].tobytes())
            self.written.append(path)
            return
        panels = MOST_PANELS_VIDEO if self.all_faces else 1
        picture = draw(frame.image, frame.rows, self.names, panels)
        if self._video is None:
            path = self._name(frame.path, ".mp4")
            self._video = _VideoFile(path, frame.frame_rate, picture.shape)
        self._video.write(picture)

    def close(self) -> None:
        """Finishes the video that is being written.

        Raises:
          UserError: not all of it could be written.
        """
        video, self._video = self._video, None
        if video is not None:
            video.close()
            self.written.append(video.path)

    def _name(self, source: Path, suffix: str) -> Path:
        """A name that this run neither reads nor has written."""
        path, count = self.folder / f"{source.stem}_{self.drawn}{suffix}", 1
        while path.resolve() in self._taken:
            count += 1
            path = self.folder / f"{source.stem}_{self.drawn}-{count}{suffix}"
        self._taken.add(path.resolve())
        return path


class _VideoFile:
    """An MP4 in the making."""

    def __init__(self, path: Path, frame_rate: float, shape: tuple[int, ...]) -> None:
        self.path = path
        self.partial = path.with_suffix(".partial.mp4")
        self.size = (shape[1], shape[0])
        self.frames = 0
        codec = cv2.VideoWriter_fourcc(*CODEC)  # type: ignore[attr-defined]
        self.writer = cv2.VideoWriter(str(self.partial), codec, frame_rate, self.size)
        if not self.writer.isOpened():
            raise UserError(f"{path} cannot be written; look at the folder's permissions and space")

    def write(self, picture: np.ndarray) -> None:
        self.writer.write(cv2.resize(picture, self.size) if self._differs(picture) else picture)
        self.frames += 1

    def _differs(self, picture: np.ndarray) -> bool:
        return (picture.shape[1], picture.shape[0]) != self.size

    def close(self) -> None:
        """OpenCV tells no write errors: what arrived is counted before the rename."""
        self.writer.release()
        try:
            arrived = promised_frames(self.partial)
        except UserError:
            arrived = 0
        if arrived < self.frames:
            raise UserError(
                f"only {arrived} of {self.frames} frames of {self.path} were written; "
                "free some disk space and run the same command again"
            )
        self.partial.replace(self.path)
