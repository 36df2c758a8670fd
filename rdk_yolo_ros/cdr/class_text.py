"""How a class is called in a message."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional


def class_text(class_id: int, names: Optional[Sequence[str]]) -> str:
    """Return a class' name, or its number where there are no names or it has none."""
    if names is None or not 0 <= class_id < len(names):
        return str(class_id)
    return names[class_id]
