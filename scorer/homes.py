"""The user's folders on this machine. A user without a home has none."""

from __future__ import annotations

from pathlib import Path
from typing import Literal


def user_folder(kind: Literal["cache", "data", "state"]) -> Path | None:
    """The user's folder for this program, which may not exist yet; None where the user has no home.

    $XDG_CACHE_HOME, $XDG_DATA_HOME and $XDG_STATE_HOME name other folders than those of the home.
    """
    import platformdirs

    folders = {
        "cache": platformdirs.user_cache_path,
        "data": platformdirs.user_data_path,
        "state": platformdirs.user_state_path,
    }
    try:
        folder = folders[kind]("scorer")
    except RuntimeError:  # no $HOME, and no entry in the password file
        return None
    return folder if folder.is_absolute() else None
