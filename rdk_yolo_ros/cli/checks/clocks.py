"""Clocks, governors and temperatures of CPU and BPU, as far as the kernel shows them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
import re
from typing import Optional

from rdk_yolo_ros.cli.checks.board import Board, read_number, read_text
from rdk_yolo_ros.cli.checks.finding import NOT_APPLICABLE, OK, PROBLEM, WARNING, Finding

_CPU_CLOCKS = 'sys/devices/system/cpu/cpufreq'
# X3 has a clock below each core, X5 one beside the others, S100 both; the vendor's documents on
# frequency management, on the BPU's sysfs nodes and on low power say so.
_BPU = 'sys/devices/system/bpu'
_BPU_CLOCKS = (f'{_BPU}/bpu*/devfreq/*', 'sys/class/devfreq/*bpu*',
               'sys/devices/platform/soc/*.bpu/devfreq/*')
_GOVERNORS_AT_FULL_SPEED = ('performance',)
# The boards cut their clocks from 95 degrees on, which the vendor's kernels have as trip point.
_WARM, _HOT = 85.0, 95.0


@dataclass(frozen=True)
class Clock:
    """
    A clock that the kernel sets; frequencies in Hz, None where the kernel does not tell.

    Attributes:
        name: the folder's name.
        path: of the folder, from /.
        governor: how the kernel sets it.
        now, highest, limit: its frequency, the highest that the hardware has, and the highest
            that is allowed at present.

    """

    name: str
    path: str
    governor: Optional[str]
    now: Optional[int]
    highest: Optional[int]
    limit: Optional[int]

    @property
    def capped(self) -> bool:
        """Whether less than the hardware's highest frequency is allowed."""
        return bool(self.limit and self.highest and self.limit < self.highest)

    def __str__(self) -> str:
        """Return it in words."""
        parts = [f'{self.now / 1e6:.0f} MHz' if self.now else 'frequency unknown']
        if self.highest:
            parts.append(f'of {self.highest / 1e6:.0f}')
        text = ' '.join(parts)
        if self.capped and self.limit:
            text += f', limited to {self.limit / 1e6:.0f}'
        return f'{self.name} {text}' + (f', governor {self.governor}' if self.governor else '')


def cpu_clocks(root: Path = Path('/')) -> list[Clock]:
    """Return the CPU's clocks."""
    clocks = []
    for folder in sorted((root / _CPU_CLOCKS).glob('policy*')):
        now, highest, limit = (
            number * 1000 if number else None for number in (
                read_number(folder / 'scaling_cur_freq'),
                read_number(folder / 'cpuinfo_max_freq'),
                read_number(folder / 'scaling_max_freq')))
        clocks.append(Clock(folder.name, _from_root(folder, root),
                            read_text(folder / 'scaling_governor'), now, highest, limit))
    return clocks


def bpu_clocks(root: Path = Path('/')) -> list[Clock]:
    """Return the BPU's clocks; the same clock at two places counts once."""
    clocks = {}
    for pattern in _BPU_CLOCKS:
        for folder in sorted(root.glob(pattern)):
            if not (folder / 'cur_freq').exists() or folder.resolve() in clocks:
                continue
            steps = [int(step) for step in
                     (read_text(folder / 'available_frequencies') or '').split()
                     if step.isdecimal()]
            clocks[folder.resolve()] = Clock(
                folder.name, _from_root(folder, root), read_text(folder / 'governor'),
                read_number(folder / 'cur_freq'), max(steps, default=None),
                read_number(folder / 'max_freq'))
    return list(clocks.values())


def bpu_use(root: Path = Path('/')) -> Optional[float]:
    """Return how much of the BPU's time is used, percent, over its cores; None: not told."""
    cores = [read_number(path) for path in sorted((root / _BPU).glob('bpu*/ratio'))]
    known = [ratio for ratio in cores if ratio is not None]
    if not known:
        whole = read_number(root / _BPU / 'ratio')
        known = [] if whole is None else [whole]
    return sum(known) / len(known) if known else None


def check_clocks(board: Board, root: Path = Path('/')) -> Iterator[Finding]:
    """Yield a finding for the CPU's clocks, the BPU's, and the temperatures."""
    yield _clock_finding('cpu clock', cpu_clocks(root), board, 'scaling_governor')
    if board.is_rdk:
        yield _clock_finding('bpu clock', bpu_clocks(root), board, 'governor',
                             _bpu_words(root))
    yield from _check_temperatures(root)


def _bpu_words(root: Path) -> str:
    words = []
    cores = read_number(root / _BPU / 'core_num')
    if cores is not None:
        words.append(f'{cores} core(s)')
    firmware = read_text(root / _BPU / 'bpu0' / 'fw_version')
    if firmware and firmware != '0.0.0':  # what it says until the firmware is loaded
        words.append(f'firmware {firmware}')
    use = bpu_use(root)
    if use is not None:
        words.append(f'{use:.0f} % in use')
    return ', '.join(words)


def _clock_finding(name: str, clocks: list[Clock], board: Board, file: str,
                   more: str = '') -> Finding:
    details = {'clocks': [vars(clock) for clock in clocks]}
    if not clocks:
        return Finding(name, NOT_APPLICABLE, 'the kernel does not show it'
                       + (f' ({more})' if more else ''), details=details)
    summary = '; '.join(map(str, clocks)) + (f'; {more}' if more else '')
    slow = [clock for clock in clocks
            if clock.capped or clock.governor not in (None, *_GOVERNORS_AT_FULL_SPEED)]
    if not slow or not board.is_rdk:
        return Finding(name, OK, summary, details=details)
    # A board that saves power on purpose is no fault, but its figures compare with nobody's.
    commands = '; '.join(f'echo performance > {clock.path}/{file}' for clock in slow)
    return Finding(name, WARNING, summary,
                   f"for full speed, and to compare with the vendor's figures: sudo sh -c "
                   f"'{commands}' (until the next start)", details=details)


def _check_temperatures(root: Path) -> Iterator[Finding]:
    temperatures: dict[str, float] = {}
    for folder in sorted((root / 'sys/class/thermal').glob('thermal_zone*')):
        _add(temperatures, read_text(folder / 'type') or folder.name,
             read_number(folder / 'temp'))
    for folder in sorted((root / 'sys/class/hwmon').glob('hwmon*')):
        for path in sorted(folder.glob('temp*_input')):
            label = read_text(path.with_name(path.name.replace('_input', '_label')))
            name = label or f"{read_text(folder / 'name') or folder.name} {path.name[:-6]}"
            _add(temperatures, name, read_number(path))
    throttled = [read_text(folder / 'type') or folder.name
                 for folder in sorted((root / 'sys/class/thermal').glob('cooling_device*'))
                 if (read_number(folder / 'cur_state') or 0) > 0
                 # A fan that turns is no loss; these cut the clock.
                 and re.search('cpufreq|devfreq|bpu|cpu', read_text(folder / 'type') or '')]
    if not temperatures and not throttled:
        yield Finding('temperature', NOT_APPLICABLE, 'the kernel does not show it')
        return
    hottest = max(temperatures.values(), default=0.0)
    summary = ', '.join(f'{name} {value:.0f} °C' for name, value in temperatures.items())
    details = {'celsius': temperatures, 'throttled': throttled}
    advice = 'cool the board (heat sink, fan, air), or expect lower clocks'
    if throttled:
        yield Finding('temperature', PROBLEM,
                      f'{summary}; slowed down by heat: {", ".join(throttled)}'.lstrip('; '),
                      advice, details=details)
    elif hottest >= _WARM:
        yield Finding('temperature', PROBLEM if hottest >= _HOT else WARNING, summary, advice,
                      details=details)
    else:
        yield Finding('temperature', OK, summary, details=details)


def _add(temperatures: dict[str, float], name: str, thousandths: Optional[int]) -> None:
    # A sensor of a part that is off, such as the BPU's when idle, reads nonsense or nothing.
    if thousandths is None or not 0 < thousandths < 200_000:
        return
    unique, count = name, 2
    while unique in temperatures:
        unique, count = f'{name} {count}', count + 1
    temperatures[unique] = thousandths / 1000


def _from_root(path: Path, root: Path) -> str:
    return '/' + path.relative_to(root).as_posix()
