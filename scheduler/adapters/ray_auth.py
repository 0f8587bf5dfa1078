"""Whether Ray asks for a token here, and whether there is one.

Ray 2.60 protects a cluster with a token unless told not to; a client that sends none is refused with
«Missing authentication token». Nothing is started and the token itself is never read.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

_MODE = "RAY_AUTH_MODE"
_TOKEN = "RAY_AUTH_TOKEN"
_TOKEN_PATH = "RAY_AUTH_TOKEN_PATH"


def token_state(environ: Mapping[str, str] = os.environ, home: Path | None = None) -> str:
    """One sentence: the mode, where a token was found, and what to do where one is missing."""
    mode = environ.get(_MODE, "")
    place = _place_of_token(environ, home or Path.home())
    if mode == "disabled":
        return f"off ({_MODE}=disabled): anyone who reaches the cluster can run code on it"
    asked = f"{_MODE}=token" if mode == "token" else f"{_MODE} is not set"
    if place:
        remedy = "" if mode == "token" else f"; set {_MODE}=token for `ray job submit`"
        return f"token found in {place} ({asked}){remedy}"
    return (
        f"no token ({asked}): `ray get-auth-token --generate` makes one on the head, copy it to clients"
    )


def _place_of_token(environ: Mapping[str, str], home: Path) -> str:
    if environ.get(_TOKEN):
        return _TOKEN
    path = Path(environ[_TOKEN_PATH]) if environ.get(_TOKEN_PATH) else home / ".ray" / "auth_token"
    return str(path) if path.is_file() else ""
