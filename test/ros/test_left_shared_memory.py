"""Shared memory that killed processes left behind is removed, and no other."""

import fcntl
import os
from pathlib import Path
import re
import signal
import time

import pytest

pytest.importorskip('rclpy')

from rdk_yolo_ros.nodes.left_shared_memory import remove_left_segments  # noqa: E402

NAME = 'fastrtps_0123456789abcdef'


def segment(folder, name=NAME, age=60.0):
    """Make a segment of 1000 bytes and its lock's file, some seconds old."""
    (folder / name).write_bytes(bytes(1000))
    lock = folder / f'{name}_el'
    lock.touch()
    os.utime(lock, (time.time() - age, time.time() - age))
    return lock


@pytest.mark.parametrize('name', [NAME, 'fastdds_0123456789abcdef'])
def test_what_nobody_holds_is_removed(tmp_path, name):
    segment(tmp_path, name)
    assert remove_left_segments(tmp_path) == 1000
    assert list(tmp_path.iterdir()) == []


def test_what_somebody_holds_stays(tmp_path):
    with open(segment(tmp_path)) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert remove_left_segments(tmp_path) == 0
        assert len(list(tmp_path.iterdir())) == 2
    assert remove_left_segments(tmp_path) == 1000


def test_what_was_made_just_now_stays(tmp_path):
    segment(tmp_path, age=1.0)
    assert remove_left_segments(tmp_path) == 0
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize('name', ['fastrtps_port7412', 'fastrtps_0123', 'other_0123456789abcdef',
                                  'fastrtps_0123456789abcdeg', 'sem.fastrtps_0123456789abcdef'])
def test_what_has_another_name_stays(tmp_path, name):
    segment(tmp_path, name)
    assert remove_left_segments(tmp_path) == 0
    assert len(list(tmp_path.iterdir())) == 2


def test_a_lock_without_its_segment_is_removed_too(tmp_path):
    segment(tmp_path)
    (tmp_path / NAME).unlink()
    assert remove_left_segments(tmp_path) == 0
    assert list(tmp_path.iterdir()) == []


def test_a_link_is_not_followed(tmp_path):
    target = tmp_path / 'target'
    target.touch()
    os.utime(target, (0, 0))
    (tmp_path / f'{NAME}_el').symlink_to(target)
    assert remove_left_segments(tmp_path) == 0
    assert target.exists()


def test_no_such_folder_is_no_error(tmp_path):
    assert remove_left_segments(tmp_path / 'none') == 0


def own_segments(pid):
    """Return the files of a process' own segments: those whose lock's file it holds open."""
    locks = {os.readlink(descriptor) for descriptor in Path(f'/proc/{pid}/fd').iterdir()}
    return [Path(lock[:-3]) for lock in locks if re.search(r'/fastrtps_[0-9a-f]{16}_el$', lock)]


def test_a_node_removes_what_a_killed_one_left(start):
    if not os.environ.get('RMW_IMPLEMENTATION', 'rmw_fastrtps_cpp').startswith('rmw_fastrtps'):
        pytest.skip('another middleware has other segments')
    survivor, killed = (start('source', width=64, height=48) for _ in range(2))
    for source in (survivor, killed):
        source.wait_for_line('nv12 at')
    kept, left = own_segments(survivor.pid), own_segments(killed.pid)
    assert kept
    assert left
    for path in [*kept, *left]:
        os.utime(f'{path}_el', (0, 0))
    killed.signal(signal.SIGKILL)
    killed.wait()
    assert all(path.exists() for path in left)
    start('source', width=64, height=48).wait_for_line('nv12 at')
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in kept)
