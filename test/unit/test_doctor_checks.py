"""Each of the doctor's checks: what it reads, and that what goes wrong becomes a finding."""

import sys
import time

import pytest
from sysfs_trees import S100, X3, X5, write_tree

from rdk_yolo_ros.cli.checks import child, clocks, machine
from rdk_yolo_ros.cli.checks.board import read_board
from rdk_yolo_ros.cli.checks.finding import (
    NOT_APPLICABLE,
    OK,
    PROBLEM,
    STATUSES,
    WARNING,
    Finding,
    run_check,
)
from rdk_yolo_ros.cli.checks.privacy import Redaction


def by_check(findings):
    return {finding.check: finding for finding in findings}


# A check cannot take the doctor down


def test_a_check_that_raises_is_a_finding_and_keeps_what_it_found():
    def check():
        yield Finding('x', OK, 'first')
        raise ValueError('no\nsuch thing')

    first, second = run_check('x', check, 5.0)
    assert first.summary == 'first'
    assert second.status == WARNING
    assert second.summary == 'the check itself failed: ValueError: no such thing'
    assert second.advice


def test_a_check_that_hangs_is_left_alone_in_time():
    def check():
        yield Finding('x', OK, 'first')
        time.sleep(30)

    began = time.monotonic()
    first, second = run_check('x', check, 0.3)
    assert time.monotonic() - began < 10
    assert (first.summary, second.status) == ('first', PROBLEM)
    assert 'had not ended' in second.summary


def test_a_finding_as_a_mapping_leaves_out_what_is_empty():
    assert Finding('x', OK, 'fine').as_mapping() == {
        'check': 'x', 'status': 'ok', 'summary': 'fine'}
    assert set(Finding('x', PROBLEM, 's', 'a', ('l',), {'k': 0}).as_mapping()) == {
        'check', 'status', 'summary', 'advice', 'lines', 'details'}


# A child process


@pytest.fixture
def script(tmp_path, monkeypatch):
    """Return a function that runs Python text as a child module with a limit."""
    monkeypatch.setenv('PYTHONPATH', str(tmp_path))

    def run(text, limit=60.0):
        (tmp_path / 'doctor_child.py').write_text(text)
        return child.run_child('doctor_child', [], '@mark ', limit)
    return run


def test_a_childs_steps_are_told_from_what_libraries_print(script):
    report = script('''
import sys
print('[BPU_PLAT] version 1')
print('@mark {"event": "opened", "slots": 2}')
print('@mark {"event": "cut o')
print('a warning', file=sys.stderr)
print('@mark {"event": "end"}')
''')
    assert [step['event'] for step in report.steps] == ['opened', 'end']
    assert report.step('opened')['slots'] == 2
    assert report.step('speed') is None
    assert (report.fate, report.output) == ('', ('[BPU_PLAT] version 1', 'a warning'))


@pytest.mark.parametrize(('ending', 'fate'), [
    ('os.kill(os.getpid(), signal.SIGSEGV)', 'it crashed (SIGSEGV)'),
    ('os._exit(3)', 'it ended early with exit code 3')])
def test_a_child_that_crashes_says_what_it_had_done(script, ending, fate):
    report = script(f"""
import os, signal
print('@mark {{"event": "opened"}}', flush=True)
{ending}
""")
    assert report.fate == fate
    assert report.step('opened') is not None


def test_a_child_that_hangs_is_ended_with_its_own_children(script, tmp_path):
    began = time.monotonic()
    report = script(f'''
import subprocess, sys, time
child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(100)'])
open({str(tmp_path / "pid")!r}, 'w').write(str(child.pid))
print('@mark {{"event": "opened"}}', flush=True)
time.sleep(100)
''', limit=20.0)
    assert time.monotonic() - began < 60
    assert 'had not ended after 20 s' in report.fate
    assert report.step('opened') is not None
    pid = int((tmp_path / 'pid').read_text())
    end = time.monotonic() + 20
    while _runs(pid):
        assert time.monotonic() < end, 'its child still runs'
        time.sleep(0.05)


def _runs(pid):
    try:
        with open(f'/proc/{pid}/stat') as file:
            return file.read().rpartition(')')[2].split()[0] not in 'ZX'
    except OSError:
        return False


# Board, system, memory, packages


@pytest.mark.parametrize(('tree', 'family'), [(X5, 'X5'), (S100, 'S100'), (X3, 'X3'), ({}, None)])
def test_the_board_is_known_by_its_files(tmp_path, tree, family):
    board = read_board(write_tree(tmp_path, tree))
    assert (board.family, board.is_rdk) == (family, family is not None)


def test_a_pc_with_a_boards_name_in_its_firmware_is_none(tmp_path):
    tree = {'proc/device-tree/model': 'ACME X5 Gaming'}
    assert not read_board(write_tree(tmp_path, tree)).is_rdk


def test_a_board_without_a_name_that_is_known(tmp_path):
    tree = {'sys/devices/system/bpu/core_num': '1', 'proc/device-tree/model': 'D-Robotics Z9'}
    root = write_tree(tmp_path, tree)
    board = read_board(root)
    assert (board.family, board.is_rdk) == (None, True)
    finding = by_check(machine.check_machine(board, root))['board']
    assert finding.status == WARNING
    assert 'D-Robotics Z9' in finding.summary


def test_what_is_said_of_a_board(tmp_path):
    root = write_tree(tmp_path, X5)
    (root / 'dev/shm').mkdir(parents=True)
    found = by_check(machine.check_machine(read_board(root), root))
    assert found['board'].summary == 'RDK X5 (D-Robotics RDK X5 V1.0, chip X5, kind 302)'
    assert 'Ubuntu 22.04.5 LTS, RDK OS 3.5.0, kernel ' in found['system'].summary
    assert found['memory'].details['total'] == 8000000 * 1024
    assert '(CMA): 205 of 512 MB free' in found['memory'].summary
    # The chip's own number tells one board from another.
    assert '0123456789abcdef' not in repr(found)


def test_too_little_memory_is_a_warning(tmp_path):
    tree = {'proc/meminfo': 'MemTotal: 2000000 kB\nMemAvailable: 100000 kB\n'}
    root = write_tree(tmp_path, tree)
    finding = by_check(machine.check_machine(read_board(root), root))['memory']
    assert finding.status == WARNING
    assert '300 MB' in finding.advice


@pytest.mark.parametrize('tree', [{}, {'proc/meminfo': 'nonsense'}])
def test_without_files_nothing_is_said_and_nothing_fails(tmp_path, tree):
    root = write_tree(tmp_path, tree)
    found = by_check(machine.check_machine(read_board(root), root))
    assert found['memory'].status == NOT_APPLICABLE
    assert found['board'].status == NOT_APPLICABLE
    assert 'an unknown system' in found['system'].summary
    assert machine.vendor_packages(root) == {}


def test_the_vendors_packages_that_are_installed(tmp_path):
    root = write_tree(tmp_path, X5)
    assert machine.vendor_packages(root) == {'hobot-dnn': '3.0.5',
                                             'tros-humble-mipi-cam': '2.3.1'}


def test_versions_of_the_software(tmp_path):
    import numpy
    finding = by_check(machine.check_software(tmp_path))['python']
    assert f'Python {sys.version.split()[0]}' in finding.summary
    assert f'numpy {numpy.__version__}' in finding.summary


@pytest.mark.parametrize(('environment', 'status', 'words'), [
    ({}, NOT_APPLICABLE, 'no ROS is sourced'),
    ({'ROS_DISTRO': 'humble', 'AMENT_PREFIX_PATH': '/opt/tros/humble:/opt/ros/humble',
      'ROS_DOMAIN_ID': '7'}, OK, 'ROS 2 humble (TROS), middleware the default')])
def test_which_ros_is_sourced(environment, status, words):
    finding = machine.ros_finding(environment)
    assert finding.status == status
    assert words in finding.summary


# Clocks and temperatures


def clock_findings(tmp_path, tree):
    root = write_tree(tmp_path, tree)
    return by_check(clocks.check_clocks(read_board(root), root))


def test_clocks_of_an_x5(tmp_path):
    found = clock_findings(tmp_path, X5)
    assert found['cpu clock'].status == WARNING
    assert 'policy0 1200 MHz of 1500, governor schedutil' in found['cpu clock'].summary
    assert 'echo performance > /sys/devices/system/cpu/cpufreq/policy0/scaling_governor' \
        in found['cpu clock'].advice
    assert found['bpu clock'].status == OK
    assert found['bpu clock'].summary == (
        '3a000000.bpu 1000 MHz of 1000, governor performance; 1 core(s), 37 % in use')
    # The sensor of a BPU that is off reads 0.
    assert found['temperature'].summary == 'hobot_vtsensor temp1 47 °C'


def test_a_clock_that_is_limited_is_a_warning(tmp_path):
    finding = clock_findings(tmp_path, S100)['bpu clock']
    assert finding.status == WARNING
    assert '28108000.bpu 1000 MHz of 1500, limited to 1000' in finding.summary
    assert 'firmware 1.1.26' in finding.summary


def test_both_cores_of_an_x3(tmp_path):
    finding = clock_findings(tmp_path, X3)['bpu clock']
    assert finding.status == WARNING
    assert 'devfreq1' in finding.advice
    assert 'devfreq2' not in finding.advice
    assert '2 core(s), 15 % in use' in finding.summary


def test_the_same_clock_at_two_places_counts_once(tmp_path):
    root = write_tree(tmp_path, S100)
    (root / 'sys/class/devfreq').mkdir(parents=True)
    (root / 'sys/class/devfreq/28108000.bpu').symlink_to(
        root / 'sys/devices/system/bpu/bpu0/devfreq/28108000.bpu')
    assert len(clocks.bpu_clocks(root)) == 1


def test_a_pcs_governor_is_its_owners_business(tmp_path):
    tree = {name: text for name, text in X5.items() if 'cpufreq' in name}
    found = clock_findings(tmp_path, tree)
    assert found['cpu clock'].status == OK
    assert 'bpu clock' not in found


def test_a_board_that_shows_no_clock(tmp_path):
    found = clock_findings(tmp_path, {'sys/devices/system/bpu/bpu0/ratio': 'rubbish'})
    assert found['bpu clock'].status == NOT_APPLICABLE
    assert found['temperature'].status == NOT_APPLICABLE


@pytest.mark.parametrize(('files', 'status'), [
    ({'thermal_zone0/temp': '60000'}, OK),
    ({'thermal_zone0/temp': '86000'}, WARNING),
    ({'thermal_zone0/temp': '96000'}, PROBLEM),
    ({'thermal_zone0/temp': 'hot'}, NOT_APPLICABLE),
    ({'thermal_zone0/temp': '60000', 'cooling_device0/type': 'cpufreq-cpu0',
      'cooling_device0/cur_state': '2'}, PROBLEM),
    ({'thermal_zone0/temp': '60000', 'cooling_device3/type': 'emc2305_fan',
      'cooling_device3/cur_state': '2'}, OK)])
def test_heat(tmp_path, files, status):
    tree = {f'sys/class/thermal/{name}': text for name, text in files.items()}
    finding = clock_findings(tmp_path, tree)['temperature']
    assert finding.status == status
    assert bool(finding.advice) == (status in (WARNING, PROBLEM))
    assert finding.status in STATUSES


# Privacy


@pytest.fixture
def redaction():
    return Redaction(host='annas-robot.lan', user='anna', home='/home/anna')


@pytest.mark.parametrize(('text', 'expected'), [
    ('/home/anna/ws/model.bin: bad', '~/ws/model.bin: bad'),
    ('in /home/anna', 'in ~'),
    ('/home/bert/x and /root/y', '~/x and ~/y'),
    ('/home/annabel/x', '~/x'),
    ('on annas-robot, annas-robot.lan', 'on <host>, <host>'),
    ('anna@192.168.1.10', '<user>@<address>'),
    ('10.0.0.7 and 172.20.1.1 and http://8.8.8.8/', '<address> and <address> and '
                                                    'http://<address>/'),
    ('de:ad:be:ef:00:01', '<address>'),
    ('fe80::1ff:fe23:4567:890a', '<address>'),
    ('OpenCV 4.10.0.84, numpy 1.26.4', 'OpenCV 4.10.0.84, numpy 1.26.4'),
    ('savanna annas anna_x', 'savanna annas anna_x'),
    ('/opt/homebrew /usr/home/x', '/opt/homebrew /usr/home/x')])
def test_what_says_whose_machine_it_is_is_taken_out(redaction, text, expected):
    assert redaction.text(text) == expected


def test_data_is_gone_through_to_the_bottom(redaction):
    data = {'a': ['/home/anna', {'/home/anna/b': ('anna', 1, None, 2.5)}]}
    assert redaction.data(data) == {'a': ['~', {'~/b': ['<user>', 1, None, 2.5]}]}


def test_names_that_an_image_comes_with_are_words():
    redaction = Redaction(host='ubuntu', user='root', home='/root')
    assert redaction.text('ubuntu root /root/x') == 'ubuntu root ~/x'
