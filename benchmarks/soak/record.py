"""
The record of a run: two CSV files that grow while it runs, so that a run may be broken off.

`samples.csv` has a line for each look at the processes, `minutes.csv` one for each minute.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
import csv
from dataclasses import asdict, dataclass, fields
import json
from pathlib import Path
from typing import Any

from benchmarks.soak.readings import Reading

NODES = ('source', 'yolo')
_READING = [field.name for field in fields(Reading)]


@dataclass(frozen=True)
class Minute:
    """
    The results of one minute, the last one maybe shorter.

    Attributes:
        at_s: when it ended, seconds since the first result.
        seconds: its length.
        results: detection messages received.
        p50_ms, p95_ms, p99_ms, most_ms: from an image's stamp to the receipt of its result.
        gap_ms: the longest time between two results.
        images, dropped, failed, lost: what the node's /diagnostics counted in it.

    """

    at_s: float
    seconds: float
    results: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    most_ms: float
    gap_ms: float
    images: int
    dropped: int
    failed: int
    lost: int


@dataclass(frozen=True)
class Sample:
    """The processes at one moment, `at_s` seconds since the first result, by the node's name."""

    at_s: float
    readings: Mapping[str, Reading]


class Recorder:
    """Writes the record, line by line; `facts` describe the run and go into `run.json`."""

    def __init__(self, folder: Path, facts: Mapping[str, Any]) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / 'run.json').write_text(json.dumps(dict(facts), indent=2) + '\n', 'utf-8')
        for name in ('samples.csv', 'minutes.csv'):
            (folder / name).unlink(missing_ok=True)
        self._append('samples.csv', ['at_s', *(f'{node}_{name}' for node in NODES
                                               for name in _READING)])
        self._append('minutes.csv', [field.name for field in fields(Minute)])

    def add_sample(self, sample: Sample) -> None:
        """Write a look at the processes."""
        self._append('samples.csv', [sample.at_s, *(getattr(sample.readings[node], name)
                                                    for node in NODES for name in _READING)])

    def add_minute(self, minute: Minute) -> None:
        """Write a minute's results."""
        self._append('minutes.csv', [*asdict(minute).values()])

    def _append(self, name: str, row: Sequence[object]) -> None:
        with open(self._folder / name, 'a', encoding='utf-8', newline='') as file:
            csv.writer(file).writerow(
                [f'{value:.3f}' if isinstance(value, float) else value for value in row])


def read_record(folder: Path) -> tuple[list[Sample], list[Minute], dict[str, Any]]:
    """
    Return samples, minutes and facts of a run, finished or not.

    Raises:
        OSError: there is no record in the folder.

    """
    facts = json.loads((folder / 'run.json').read_text('utf-8'))
    samples = [Sample(float(row['at_s']), {node: _made(Reading, row, f'{node}_')
                                           for node in NODES})
               for row in _rows(folder / 'samples.csv')]
    minutes = [_made(Minute, row) for row in _rows(folder / 'minutes.csv')]
    return samples, minutes, facts


def _made(kind: Any, row: Mapping[str, str], prefix: str = '') -> Any:
    """Return a data class of numbers, with the columns that its fields name."""
    return kind(**{field.name: (int if field.type == 'int' else float)(row[prefix + field.name])
                   for field in fields(kind)})


def _rows(path: Path) -> Iterable[dict[str, str]]:
    with open(path, encoding='utf-8', newline='') as file:
        # A line that a kill cut short has fewer columns than the head.
        return [row for row in csv.DictReader(file) if None not in row.values()]
