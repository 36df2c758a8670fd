"""What dev/ros_env/ promises: upstream's message types, and one clear line when it cannot work."""

import json
import os
from pathlib import Path
import shutil
import subprocess
import sys

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
ROS_ENV = CHECKOUT / 'dev' / 'ros_env'

pytestmark = pytest.mark.skipif(
    not (ROS_ENV / 'setup.sh').is_file() or not sys.platform.startswith('linux'),
    reason='needs the source checkout, on Linux')

# From the message reference of vision_msgs 4.1 and of composition_interfaces in Humble and Jazzy,
# and from hobot_msgs 2.0 of TROS.
FIELDS = {
    'vision_msgs/msg/BoundingBox2D':
        'vision_msgs/Pose2D center, float64 size_x, float64 size_y',
    'vision_msgs/msg/BoundingBox2DArray':
        'std_msgs/Header header, vision_msgs/BoundingBox2D[] boxes',
    'vision_msgs/msg/BoundingBox3D':
        'geometry_msgs/Pose center, geometry_msgs/Vector3 size',
    'vision_msgs/msg/BoundingBox3DArray':
        'std_msgs/Header header, vision_msgs/BoundingBox3D[] boxes',
    'vision_msgs/msg/Classification':
        'std_msgs/Header header, vision_msgs/ObjectHypothesis[] results',
    'vision_msgs/msg/Detection2D':
        'std_msgs/Header header, vision_msgs/ObjectHypothesisWithPose[] results, '
        'vision_msgs/BoundingBox2D bbox, string id',
    'vision_msgs/msg/Detection2DArray':
        'std_msgs/Header header, vision_msgs/Detection2D[] detections',
    'vision_msgs/msg/Detection3D':
        'std_msgs/Header header, vision_msgs/ObjectHypothesisWithPose[] results, '
        'vision_msgs/BoundingBox3D bbox, string id',
    'vision_msgs/msg/Detection3DArray':
        'std_msgs/Header header, vision_msgs/Detection3D[] detections',
    'vision_msgs/msg/LabelInfo':
        'std_msgs/Header header, vision_msgs/VisionClass[] class_map, float32 threshold',
    'vision_msgs/msg/ObjectHypothesis':
        'string class_id, float64 score',
    'vision_msgs/msg/ObjectHypothesisWithPose':
        'vision_msgs/ObjectHypothesis hypothesis, geometry_msgs/PoseWithCovariance pose',
    'vision_msgs/msg/Point2D':
        'float64 x, float64 y',
    'vision_msgs/msg/Pose2D':
        'vision_msgs/Point2D position, float64 theta',
    'vision_msgs/msg/VisionClass':
        'uint16 class_id, string class_name',
    'vision_msgs/msg/VisionInfo':
        'std_msgs/Header header, string method, string database_location, '
        'int32 database_version',
    'composition_interfaces/srv/ListNodes':
        '---, string[] full_node_names, uint64[] unique_ids',
    'composition_interfaces/srv/LoadNode':
        'string package_name, string plugin_name, string node_name, string node_namespace, '
        'uint8 log_level, string[] remap_rules, rcl_interfaces/Parameter[] parameters, '
        'rcl_interfaces/Parameter[] extra_arguments, ---, '
        'bool success, string error_message, string full_node_name, uint64 unique_id',
    'composition_interfaces/srv/UnloadNode':
        'uint64 unique_id, ---, bool success, string error_message',
    'ai_msgs/msg/Attribute':
        'string type, float32 value, float32 confidence',
    'ai_msgs/msg/Capture':
        'std_msgs/Header header, sensor_msgs/Image img, float32[] features, '
        'ai_msgs/DBResult db_result',
    'ai_msgs/msg/DBResult':
        'string db_type, string match_id, float32 distance, float32 similarity',
    'ai_msgs/msg/PerceptionInfo':
        'std_msgs/Header header, uint32 height, uint32 width, string[] class_names',
    'ai_msgs/msg/PerceptionTargets':
        'std_msgs/Header header, int16 fps, ai_msgs/Perf[] perfs, ai_msgs/Target[] targets, '
        'ai_msgs/Target[] disappeared_targets',
    'ai_msgs/msg/Perf':
        'string type, builtin_interfaces/Time stamp_start, builtin_interfaces/Time stamp_end, '
        'float64 time_ms_duration',
    'ai_msgs/msg/Point':
        'string type, geometry_msgs/Point32[] point, float32[] confidence',
    'ai_msgs/msg/Roi':
        'string type, sensor_msgs/RegionOfInterest rect, float32 confidence',
    'ai_msgs/msg/Target':
        'string type, uint64 track_id, ai_msgs/Roi[] rois, ai_msgs/Attribute[] attributes, '
        'ai_msgs/Point[] points, ai_msgs/Capture[] captures',
    **{f'hbm_img_msgs/msg/HbmMsg{kind}':
        'int32 index, builtin_interfaces/Time time_stamp, uint32 height, uint32 width, '
        f'uint32 data_size, uint32 step, uint8[12] encoding, uint8[{size}] data, '
        f'uint32 MAX_SIZE={size}'
       for kind, size in (('1080P', 6220800), ('540P', 1555200), ('480P', 921600))},
}

# Type hashes (REP 2011) that builds of the upstream packages carry: of vision_msgs 4.1.1 on Jazzy
# and of composition_interfaces on Kilted. Equal hashes are equal types on the wire. TROS is built
# on Humble, which has no hashes: those are what Jazzy's rosidl makes of the definitions in
# hobot_msgs 2.0.
UPSTREAM_HASHES = {
    'vision_msgs/msg/BoundingBox2D':
        '008eacbb0cf8f26e83795547bed013eec3675485ef386ec056d80eaaf1c1ce2f',
    'vision_msgs/msg/BoundingBox2DArray':
        '2464e82838009386d371b523211c21c91d74d313fcdd6788223c531d621cf691',
    'vision_msgs/msg/BoundingBox3D':
        'bbb73a65c163d7f9bb29009c7bde9f7faa576bd2d23299c4511d19230dab4698',
    'vision_msgs/msg/BoundingBox3DArray':
        'a81938db9576b10c2eecd7c5a5da3eac496efd00221b25ed051dfbc81fb56da6',
    'vision_msgs/msg/Classification':
        'f74db28d0eaef3afb78f48bf2161cd709a1383a0309d3454383b25be11345143',
    'vision_msgs/msg/Detection2D':
        '0d12b69df5c593b3455b7346fac8205437a7d4bcb09b9e0e0b2dde787ded38ea',
    'vision_msgs/msg/Detection2DArray':
        '214274120007f4a683866481336b70310268cfa107aebe9d594a6acf75bda968',
    'vision_msgs/msg/Detection3D':
        'ddd703be132ab0b69d33121f1bb034132bfbb3b0ac5f9fb1516005ba1c8a265b',
    'vision_msgs/msg/Detection3DArray':
        '793f5eab9595ac1c0da07873cc859db42eae51f0ee76056db8562515d830e018',
    'vision_msgs/msg/LabelInfo':
        '3d37df4015cdf660cc851c51897f2acd957e1ca6205ba0a99aebffb9406b0783',
    'vision_msgs/msg/ObjectHypothesis':
        '51da43cec11c01957a64d1e05a24acd18aae7745ec30b74348ad5f6d634f7f90',
    'vision_msgs/msg/ObjectHypothesisWithPose':
        '41c12344c0396c48b81df12467c192d99b2a0eb1463c5c37194e4223251c80bc',
    'vision_msgs/msg/Point2D':
        'eab0e83f44ab4de92ceaf76dd7d0e7638f2bdd1d16ffbe16c7a136c48e407247',
    'vision_msgs/msg/Pose2D':
        'b0b5d1d7b4c20dd4fcde3ed1d4b289a919290572007d67a97043814db25d3648',
    'vision_msgs/msg/VisionClass':
        '1e4a11f0fed50b5623cb8ff26ca0e37952a48a9c074d16f804b44e9164c2037a',
    'vision_msgs/msg/VisionInfo':
        '95d3116a17484ad91c9a2686e1d54890bbfc3ff6c6a2de137738c4950d45d284',
    'composition_interfaces/srv/ListNodes':
        '13f30d73a74c844ee4bacf78f3680f08777cad137f10fbd6a648544cc7b59d2a',
    'composition_interfaces/srv/LoadNode':
        '2e521ef6066fba6d7fc3a3b175d486709f01b4d738d9a59188858546fc8e5acd',
    'composition_interfaces/srv/UnloadNode':
        'dce562f83adc735ddcfe9dfb927b89293d4dd0fe2b8fc91e772fb83e970a43b0',
    'ai_msgs/msg/Attribute':
        '7d67707309872866e230524535417b1b901ef3b44896d377da34f5c8c44b49cf',
    'ai_msgs/msg/Capture':
        '2f018f542657cb1ff79c82111f480d5d0ff3edd755c9f7c1d725a9303341cf8e',
    'ai_msgs/msg/DBResult':
        '28a8219f2b76324bd181d9d11057feaa2b4d447d49c4a4838ef9ea1612c78ad5',
    'ai_msgs/msg/PerceptionInfo':
        'a047b013509e11ba6372d58b66336409fd03322a29adac0433b6798c8278d672',
    'ai_msgs/msg/PerceptionTargets':
        '7f64442bc06e30e9a598d7d6f7b9a49ce300c139de19c3dabc8fb96bd4fc2773',
    'ai_msgs/msg/Perf':
        'c164600047db630924a68ffdf7e267492b33d0b2c43fc88ac507f74a24c12e40',
    'ai_msgs/msg/Point':
        '9657c9ab37b715529d9e1a4eb171d03bdae1cce0891af7f21cc460870535fbeb',
    'ai_msgs/msg/Roi':
        '91848cb0ac29adf3d2d8c675d12e610145c0cd16df3dd2ee9f045c8769524b64',
    'ai_msgs/msg/Target':
        'ef3fdd312c841e7b8d3dee7a396106cfaf8eaf322a551a9fabc78f34b25ce0fb',
    'hbm_img_msgs/msg/HbmMsg1080P':
        '1263d0508f3b2fbb44e26287d0e91c665716cd6f49c3f8bb955952c47084de01',
    'hbm_img_msgs/msg/HbmMsg480P':
        '57d76c1e0b7add152d061446cca834785500b61b7717db79f8e06d35cd7074d4',
    'hbm_img_msgs/msg/HbmMsg540P':
        'f1dc6750801a3d51fe1d7dedbe5576a53f68cd6d5c0730040d33a8331068f505',
}


@pytest.mark.parametrize('interface', FIELDS)
def test_an_interface_has_upstreams_fields_in_upstreams_order(interface):
    package, kind, name = interface.split('/')
    text = (ROS_ENV / 'interfaces' / package / kind / f'{name}.{kind}').read_text()
    assert [' '.join(line.split()) for line in text.splitlines() if line.strip()] == \
        FIELDS[interface].split(', ')


def test_no_interface_is_missing_from_its_packages_build():
    for package in ('vision_msgs', 'composition_interfaces', 'ai_msgs', 'hbm_img_msgs'):
        folder = ROS_ENV / 'interfaces' / package
        files = {str(path.relative_to(folder)) for path in folder.glob('*/*.[ms][sr][gv]')}
        assert files == {f'{kind}/{name}.{kind}' for owner, kind, name in
                         (interface.split('/') for interface in FIELDS) if owner == package}
        build = (folder / 'CMakeLists.txt').read_text()
        assert all(f'"{file}"' in build for file in files)


@pytest.mark.parametrize('interface', UPSTREAM_HASHES)
def test_the_built_type_hash_equals_upstreams(interface):
    package, kind, name = interface.split('/')
    for prefix in os.environ.get('AMENT_PREFIX_PATH', '').split(':'):
        description = Path(prefix, 'share', package, kind, f'{name}.json')
        if description.is_file():
            break
    else:
        pytest.skip('no ROS 2 with type hashes (Iron and later) is sourced')
    hashes = {entry['type_name']: entry['hash_string']
              for entry in json.loads(description.read_text())['type_hashes']}
    assert hashes[interface] == 'RIHS01_' + UPSTREAM_HASHES[interface]

# All that setup.sh may take for granted: Python and the compilers aside, no more than bash,
# coreutils, findutils, grep, awk and flock, which every Debian and Ubuntu has.
PROGRAMS = [
    'awk', 'bash', 'cat', 'cp', 'cut', 'dirname', 'env', 'find', 'flock', 'grep', 'mkdir',
    'paste', 'rm', 'sha256sum', 'sort', 'tac', 'tail', 'timeout', 'xargs',
]

# The interpreter under this one's virtual environment, if it is in one.
REAL_PYTHON = getattr(sys, '_base_executable', sys.executable)


@pytest.mark.skipif(not os.environ.get('AMENT_PREFIX_PATH'), reason='no ROS 2 is sourced')
def test_a_message_and_a_service_of_the_built_types_travel():
    rclpy = pytest.importorskip('rclpy')
    from composition_interfaces.srv import ListNodes
    from vision_msgs.msg import Detection2D, Detection2DArray

    def list_nodes(request, response):
        response.full_node_names, response.unique_ids = ['/camera'], [2**63]
        return response

    context = rclpy.Context()
    rclpy.init(context=context)
    try:
        node = rclpy.create_node('test_ros_env', context=context)
        executor = rclpy.executors.SingleThreadedExecutor(context=context)
        executor.add_node(node)
        received = rclpy.task.Future(executor=executor)
        node.create_subscription(Detection2DArray, '~/detections', received.set_result, 1)
        publisher = node.create_publisher(Detection2DArray, '~/detections', 1)
        node.create_service(ListNodes, '~/list_nodes', list_nodes)
        client = node.create_client(ListNodes, '~/list_nodes')
        assert client.wait_for_service(30.0)
        answer = client.call_async(ListNodes.Request())
        sent = Detection2DArray(detections=[Detection2D(id='7')])
        node.create_timer(0.1, lambda: publisher.publish(sent))
        for future in (received, answer):
            executor.spin_until_future_complete(future, 30.0)
        assert received.result() == sent
        assert list(answer.result().unique_ids) == [2**63]
    finally:
        rclpy.shutdown(context=context)


@pytest.fixture
def bare(tmp_path):
    """
    Return a checkout of dev/ros_env alone and a machine of its own to run its script on.

    The machine has the programs of the real one under `bin`, where a test takes some away.
    """
    shutil.copytree(ROS_ENV, tmp_path / 'checkout' / 'dev' / 'ros_env')
    programs = tmp_path / 'bin'
    programs.mkdir()
    for name in PROGRAMS:
        (programs / name).symlink_to(shutil.which(name))
    for name in ('gcc', 'g++'):
        (programs / name).symlink_to(shutil.which('true'))
    python_on(programs, '')
    return tmp_path


def python_on(programs, before):
    """Make python3 a script that runs some lines of shell before the real interpreter."""
    (programs / 'python3').write_text(f'#!/bin/sh\n{before}\nexec "{REAL_PYTHON}" "$@"\n')
    (programs / 'python3').chmod(0o755)


def run_setup(bare, *arguments, **environment):
    return subprocess.run(
        [bare / 'bin' / 'bash', bare / 'checkout' / 'dev' / 'ros_env' / 'setup.sh', *arguments],
        env={'PATH': str(bare / 'bin'), 'HOME': str(bare / 'home'), **environment},
        capture_output=True, text=True, timeout=600, check=False)


def assert_one_line(result, *words):
    """Check that a run failed and that its only complaint is one line with these words in it."""
    assert result.returncode == 1
    assert result.stderr.startswith('ros_env: error: ')
    assert result.stderr.count('\n') == 1
    for word in words:
        assert word in result.stderr


on_wheels_machine = pytest.mark.skipif(
    os.uname().machine != 'x86_64' or not (3, 10) <= sys.version_info[:2] <= (3, 13),
    reason='the wheels are for Python 3.10 to 3.13 on x86-64')


@on_wheels_machine
@pytest.mark.parametrize('compiler', ['gcc', 'g++'])
def test_a_missing_compiler_is_named(bare, compiler):
    (bare / 'bin' / compiler).unlink()
    assert_one_line(run_setup(bare), compiler, f'sudo apt install {compiler}')


@on_wheels_machine
def test_a_missing_python3_venv_is_named(bare):
    python_on(bare / 'bin', 'case "$*" in *ensurepip*) exit 1 ;; esac')
    assert_one_line(run_setup(bare), 'sudo apt install python3-venv')


def test_a_missing_python_is_named(bare):
    (bare / 'bin' / 'python3').unlink()
    assert_one_line(run_setup(bare), 'python3 is missing')


@pytest.mark.parametrize('machine', ['3.14 x86_64 glibc', '3.9 x86_64 glibc', '3.10 aarch64 glibc',
                                     '3.12 x86_64 other'])
def test_a_machine_without_wheels_is_told_to_source_a_ros(bare, machine):
    python_on(bare / 'bin', f'case "$*" in *machine*) echo {machine} 0 x; exit ;; esac')
    version, architecture, _ = machine.split()
    assert_one_line(run_setup(bare), f'Python {version} on {architecture}', 'source a ROS 2')


@on_wheels_machine
def test_a_missing_network_is_named_and_nothing_is_written_outside_the_checkout(bare):
    pip = Path(pytest.importorskip('pip').__file__).parent
    # Installing pip into the new environment takes longer than the rest of these tests together.
    python_on(bare / 'bin', f"""
        if [ "$1 $2" = "-m venv" ]; then
          "{REAL_PYTHON}" -m venv --without-pip "$3" &&
            "{shutil.which('ln')}" -s "{pip}" "$3"/lib/python3.*/site-packages
          exit
        fi""")
    before = set(bare.iterdir())
    result = run_setup(bare, PIP_CONFIG_FILE=os.devnull, PIP_INDEX_URL='http://127.0.0.1:9/simple')
    assert_one_line(result, 'is there a network?')
    assert set(bare.iterdir()) == before
    assert set((bare / 'checkout').iterdir()) == {bare / 'checkout' / name
                                                  for name in ('dev', '.ros_env')}


def test_a_check_changes_nothing(bare):
    result = run_setup(bare, '--check')
    assert (result.returncode, result.stderr) == (1, '')
    assert list((bare / 'checkout').iterdir()) == [bare / 'checkout' / 'dev']


def test_an_unknown_argument_gets_the_usage(bare):
    assert_one_line(run_setup(bare, '--force'), 'usage: dev/ros_env/setup.sh [--check]')


def test_the_environment_keeps_to_this_machine_unless_told_otherwise(bare):
    folder = bare / 'checkout' / '.ros_env'
    folder.mkdir()
    shutil.copy(ROS_ENV / 'setup.bash.in', folder / 'setup.bash')

    def sourced(**environment):
        output = subprocess.run(
            ['bash', '-euc', f'. "{folder}/setup.bash"; . "{folder}/setup.bash"; env -0'],
            env={'PATH': os.environ['PATH'], **environment}, cwd='/',
            capture_output=True, text=True, timeout=30, check=True).stdout
        return dict(entry.split('=', 1) for entry in output.split('\0') if entry)

    own = sourced()
    assert own['ROS_AUTOMATIC_DISCOVERY_RANGE'] == 'LOCALHOST'
    assert 1 <= int(own['ROS_DOMAIN_ID']) <= 101
    assert own['PATH'].split(':').count(f'{folder}/bin') == 1
    assert own['AMENT_PREFIX_PATH'] == str(folder)
    told = sourced(ROS_AUTOMATIC_DISCOVERY_RANGE='SUBNET', ROS_DOMAIN_ID='7')
    assert (told['ROS_AUTOMATIC_DISCOVERY_RANGE'], told['ROS_DOMAIN_ID']) == ('SUBNET', '7')
