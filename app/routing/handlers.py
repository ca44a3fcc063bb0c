"""Keyword functions: how a team's code is found and called."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

Function = TypeVar("Function", bound=Callable[..., object])


def keyword(*words: str) -> Callable[[Function], Function]:
    """Register a function for one or more keywords."""

    def register(function: Function) -> Function:
        return function

    return register
