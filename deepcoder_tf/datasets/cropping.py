"""Pass 2 of preparation: the crops of one recording, registered to each fold's mean shape."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import tensorflow as tf

from deepcoder_tf.datasets.analysis import Analysis, pictures
from deepcoder_tf.datasets.prepared import STATUSES_WITH_CROP
from deepcoder_tf.datasets.records import encode_example
from deepcoder_tf.datasets.sources import Source
from deepcoder_tf.errors import UserError, explain_os_error
from deepcoder_tf.faces.aligner import align
from deepcoder_tf.faces.images import to_grey
from deepcoder_tf.faces.landmarks import INNER_49
from deepcoder_tf.files import replacing

__all__ = ["write_crops"]


def write_crops(
    source: Source,
    analysis: Analysis,
    first_row: int,
    mean_shapes: Mapping[Path, np.ndarray],
    on_frame: Callable[[], None],
) -> None:
    """Decodes a recording again and writes one shard for each fold; pictures are not kept.

    Args:
      source: the recording.
      analysis: what pass 1 found in it.
      first_row: row of its first frame in `frames.csv`.
      mean_shapes: `[49, 2]` in crop pixels, by the shard's path.
      on_frame: called after every frame; may raise to stop.

    Raises:
      UserError: the recording is not what it was in pass 1, or the disk is full.
    """
    place = {int(number): at for at, number in enumerate(analysis.numbers)}
    try:
        with ExitStack() as stack:
            writers = [
                (stack.enter_context(record_file(path)), mean_shape)
                for path, mean_shape in mean_shapes.items()
            ]
            for picture in pictures(source):
                at = place.get(picture.number)
                if at is not None and analysis.status[at] in STATUSES_WITH_CROP:
                    if picture.image is None:
                        raise UserError(
                            f"{picture.file}: frame {picture.number} could be read before and "
                            "cannot any more; run the same deepcoder-prepare again"
                        )
                    grey, points = to_grey(picture.image), analysis.landmarks[at][INNER_49]
                    for writer, mean_shape in writers:
                        writer.write(
                            encode_example(
                                align(grey, points, mean_shape),
                                analysis.labels[at],
                                source.subject,
                                source.video,
                                picture.number,
                                first_row + at,
                            )
                        )
                on_frame()
    except tf.errors.OpError as error:
        # TensorFlow tells a full disk in its own way.
        full = "No space left" in str(error.message)
        refusal = OSError(errno.ENOSPC if full else errno.EIO, str(error.message))
        raise explain_os_error(refusal, f"writing crops of {source.video}") from error


@contextmanager
def record_file(path: Path) -> Iterator[tf.io.TFRecordWriter]:
    """A TFRecord file that appears under its name when it is whole."""
    # TensorFlow opens by name: it writes into the file that `replacing` made and will rename.
    with replacing(path, "wb") as stream, tf.io.TFRecordWriter(stream.name) as writer:
        yield writer
