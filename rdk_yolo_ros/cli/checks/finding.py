"""Finding: what a check says; and a check's limit, so that none takes the doctor down."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
import threading
from typing import Any

OK, WARNING, PROBLEM, NOT_APPLICABLE = 'ok', 'warning', 'problem', 'not applicable'
STATUSES = (OK, WARNING, PROBLEM, NOT_APPLICABLE)


@dataclass(frozen=True)
class Finding:
    """
    One thing that a check found.

    Attributes:
        check: the check, for example 'clocks'.
        status: one of STATUSES.
        summary: what was found; one line.
        advice: what to do; empty where nothing is to be done.
        lines: more of what was found, a line each, for the text.
        details: the same for a program.

    """

    check: str
    status: str
    summary: str
    advice: str = ''
    lines: tuple[str, ...] = ()
    details: dict[str, Any] = field(default_factory=dict)

    def as_mapping(self) -> dict[str, Any]:
        """Return what `--json` prints of it; what is empty is left out."""
        mapping = asdict(self)
        mapping['lines'] = list(self.lines)
        return {key: value for key, value in mapping.items()
                if value or key in ('check', 'status', 'summary')}


def run_check(name: str, check: Callable[[], Iterable[Finding]],
              limit: float) -> list[Finding]:
    """
    Return what a check finds; one that fails or takes too long is a finding itself.

    Args:
        name: the check's name.
        check: returns or yields its findings; those yielded in time are kept.
        limit: seconds after which it is left alone, in a thread that keeps nothing from ending.

    """
    found: list[Finding] = []
    failure: list[Exception] = []

    def work() -> None:
        try:
            for finding in check():
                found.append(finding)  # noqa: PERF402 - those before a failure count
        except Exception as error:
            failure.append(error)

    thread = threading.Thread(target=work, name=f'check-{name}', daemon=True)
    thread.start()
    thread.join(max(0.0, limit))
    kept = list(found)
    if thread.is_alive():
        kept.append(Finding(name, PROBLEM, f'the check had not ended after {limit:.0f} s',
                            'run the doctor once more; if it happens again, something that it '
                            'reads hangs: report it with this output'))
    elif failure:
        text = ' '.join(f'{type(failure[0]).__name__}: {failure[0]}'.split())
        kept.append(Finding(name, WARNING, f'the check itself failed: {text}',
                            'report it with this output'))
    return kept
