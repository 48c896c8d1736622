"""The one exception that means "the user can mend this": a line of text, no traceback."""

from __future__ import annotations

import errno

__all__ = ["UserError", "explain_os_error"]


class UserError(Exception):
    """A mistake in what the user gave, told in one line with its cure.

    The command line prints it as `error: ...` and ends with exit code 1; library callers catch it
    like any exception. The message names the file, the line or frame, the value and the cure.
    """


def explain_os_error(error: OSError, doing: str) -> UserError:
    """Turns an operating-system refusal into one line that a user can act on.

    Args:
      error: what the operating system said.
      doing: what was going on, for example `"writing runs/a/metrics.json"`.

    Returns:
      The `UserError` to raise (`raise explain_os_error(e, ...) from e`).
    """
    if error.errno == errno.ENOSPC:
        return UserError(
            f"the disk is full while {doing}; free some space and run the same command again: "
            "what is finished is kept"
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return UserError(f"no permission while {doing}: {error.strerror}; choose another folder")
    return UserError(f"{doing} failed: {error.strerror or error}")
