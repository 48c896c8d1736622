"""What a server may answer instead of numbers, and trying again while that can help."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import grpc

__all__ = ["Metadata", "ServerError", "with_retries"]

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

FIRST_WAIT = 0.5
"""Seconds before the second try; doubled for each one after it."""

LONGEST_WAIT = 8.0
"""Seconds: a server that loads a model of this size is there by then."""


class Metadata(NamedTuple):
    """What a server knows of a model.

    Attributes:
      version: the one that answers.
      signatures: the input names of each.
    """

    version: int
    signatures: dict[str, tuple[str, ...]]


class ServerError(Exception):
    """A request without an answer.

    Attributes:
      status: in gRPC's terms, also for REST.
      reason: one line, in the words of the server or of the operating system.
    """

    def __init__(self, status: grpc.StatusCode, reason: str) -> None:
        """Keeps the first line of a reason, which may be a whole trace."""
        self.status = status
        lines = (line.strip() for line in reason.splitlines())
        self.reason = next(filter(None, lines), status.name)
        super().__init__(f"{status.name}: {self.reason}")


def with_retries(
    call: Callable[[], Answer], retries: int, sleep: Callable[[float], None] = time.sleep
) -> Answer:
    """Calls until there is an answer, or an error that another try would only repeat.

    Waits grow twofold, and each is cut at random by up to a half: clients that lost the same server
    do not come back in the same moment.

    Args:
      call: raises `ServerError` when there is no answer. Only `UNAVAILABLE` is tried again.
      retries: tries after the first.
      sleep: takes seconds.

    Raises:
      ServerError: the last one.
    """
    for attempt in range(retries):
        try:
            return call()
        except ServerError as error:
            if error.status is not grpc.StatusCode.UNAVAILABLE:
                raise
            wait = min(LONGEST_WAIT, FIRST_WAIT * 2**attempt) * random.uniform(0.5, 1.0)
            log.info(
                "no answer (%s); try %d of %d in %.1f s",
                error.reason,
                attempt + 2,
                retries + 1,
                wait,
            )
            sleep(wait)
    return call()
