"""What `colcon build` and `pip install .` put in place works there, without the checkout."""

import importlib.util
import os
from pathlib import Path
import shutil
import subprocess
import sys
import zipfile

import pytest

ROOT = Path(__file__).resolve().parents[2]
INSTALL = ROOT / 'install'
EXECUTABLES = INSTALL / 'rdk_yolo_ros' / 'lib' / 'rdk_yolo_ros'
NODES = {'yolo', 'source', 'overlay', 'component_container', 'component_container_mt'}
LIMIT = 120.0  # seconds that a build tool may take

built = pytest.mark.skipif(not (INSTALL / 'rdk_yolo_ros').is_dir(),
                           reason='needs install/, which make build makes')


def without(paths, *folders):
    """Return a search path but for the entries that are `folders` or below, or none at all."""
    kept = [path for path in paths.split(os.pathsep) if path]
    for folder in folders:
        kept = [path for path in kept if Path(path).resolve() != folder
                and folder not in Path(path).resolve().parents]
    return os.pathsep.join(path for path in kept if Path(path).resolve() != ROOT)


@pytest.fixture
def installed(processes, tmp_path):
    """Start what follows in another folder, in a shell that sourced install/setup.bash."""
    # Neither the checkout nor what an earlier `source` left: setup.bash alone brings the package.
    env = {name: without(os.environ.get(name, ''), INSTALL)
           for name in ('PYTHONPATH', 'AMENT_PREFIX_PATH')}

    def start(*argv):
        # exec: the process that the fixture ends is the node itself.
        return processes('bash', '-c', 'cd "$1" && source "$2" && shift 2 && exec "$@"', 'bash',
                         tmp_path, INSTALL / 'setup.bash', *argv, env=env)

    return start


@built
def test_the_module_comes_from_the_install_space(installed, python, tmp_path):
    process = installed(python, '-c', 'import os, sys, rdk_yolo_ros.nodes.yolo as yolo\n'
                        'from rdk_yolo_ros.share import find_file\n'
                        'print(yolo.__file__, find_file("config/demo_detect.json"), os.getcwd(),\n'
                        '      *sys.path, sep="\\n")')
    assert process.wait() == 0, process.output
    module, config, folder, *path = process.lines
    assert INSTALL in Path(module).parents
    assert Path(config) == (INSTALL / 'rdk_yolo_ros' / 'share' / 'rdk_yolo_ros' / 'config'
                            / 'demo_detect.json')
    assert Path(folder).resolve() == tmp_path.resolve()
    assert str(ROOT) not in path


@built
def test_the_installed_executables_turn_images_into_detections(graph, installed):
    messages = pytest.importorskip('vision_msgs.msg')
    results = graph.record(messages.Detection2DArray, '/yolo/detections')
    # From the share folder: the process' own folder is empty.
    yolo = installed(EXECUTABLES / 'yolo', '--ros-args',
                     '-p', 'config_file:=config/demo_detect.json')
    yolo.wait_for_line('detect model')
    source = installed(EXECUTABLES / 'source', '--ros-args', '-p', 'width:=320', '-p', 'rate:=5.0')
    message, = results.wait()
    assert message.header.frame_id == 'camera'
    assert yolo.is_running()
    assert source.is_running()


@built
def test_the_installed_container_loads_the_installed_components(graph, installed):
    services = pytest.importorskip('composition_interfaces.srv')
    container = installed(EXECUTABLES / 'component_container')
    response = graph.call(
        services.LoadNode, '/ComponentManager/_container/load_node', services.LoadNode.Request(
            package_name='rdk_yolo_ros', plugin_name='rdk_yolo_ros::SourceNode'))
    assert response.success, response.error_message
    assert container.is_running()


def run(*argv, cwd, **env):
    """Run a tool and return its output, or fail with it."""
    done = subprocess.run([str(arg) for arg in argv], cwd=cwd, timeout=LIMIT, text=True,
                          stdin=subprocess.DEVNULL, capture_output=True, check=False,
                          env={**os.environ, **env})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope='module')
def checkout_files():
    """Return the checkout's files, tracked or about to be, as paths relative to it."""
    if shutil.which('git') is None or not (ROOT / '.git').exists():
        pytest.skip('needs a git checkout')
    listed = run('git', 'ls-files', '-z', '--cached', '--others', '--exclude-standard', cwd=ROOT)
    return sorted(name for name in set(listed.split('\0')) if (ROOT / name).is_file())


@pytest.fixture(scope='module')
def sources(checkout_files, tmp_path_factory):
    """Copy the checkout's files, so that nothing of what is built appears in it."""
    folder = tmp_path_factory.mktemp('sources')
    for name in checkout_files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)
    return folder


@pytest.fixture(scope='module')
def wheel(sources, tmp_path_factory):
    """Build a wheel."""
    # setuptools builds wheels by itself since 70.1.
    alone = importlib.util.find_spec('setuptools.command.bdist_wheel') is not None
    for module in ('pip', 'setuptools') if alone else ('pip', 'setuptools', 'wheel'):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f'needs {module}')
    folder = tmp_path_factory.mktemp('wheel')
    run(sys.executable, '-m', 'pip', 'wheel', '.', '--no-deps', '--no-build-isolation',
        '--no-index', '--disable-pip-version-check', '--wheel-dir', folder, cwd=sources)
    wheel, = folder.glob('*.whl')
    return wheel


def test_a_wheel_holds_the_package_and_its_share_data(wheel, checkout_files):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        schema = archive.read('rdk_yolo_ros/work_config.schema.json')
        share = {name.split('.data/data/share/rdk_yolo_ros/')[1]: archive.read(name)
                 for name in names if '.data/data/share/rdk_yolo_ros/' in name}
    assert {name for name in checkout_files if name.startswith('rdk_yolo_ros/')} <= names
    for folder in ('config', 'launch', 'models'):
        expected = {name for name in checkout_files if name.startswith(f'{folder}/')}
        assert expected
        assert expected <= set(share)
    assert share['package.xml'] == (ROOT / 'package.xml').read_bytes()
    assert share['config/work_config.schema.json'] == schema  # the file, not a broken link
    assert any(name.endswith('data/share/ament_index/resource_index/packages/rdk_yolo_ros')
               for name in names)
    assert not any(name.startswith(('test', 'dev', 'benchmarks')) for name in names)


def test_an_installed_wheel_finds_its_share_data(wheel, python, tmp_path):
    pytest.importorskip('onnxruntime')
    run(python, '-m', 'pip', 'install', '--no-deps', '--no-index', '--disable-pip-version-check',
        '--ignore-installed', '--prefix', tmp_path / 'prefix', wheel, cwd=tmp_path)
    # `yolo` there is Ultralytics' command, and `source` is nobody's.
    scripts = {path.name for path in (tmp_path / 'prefix').glob('bin/*')}
    assert not scripts & NODES
    package, = (tmp_path / 'prefix').rglob('rdk_yolo_ros/__init__.py')
    search = without(os.environ.get('PYTHONPATH', ''), INSTALL)
    output = run(python, '-c', 'from rdk_yolo_ros import Predictor\n'
                 'from rdk_yolo_ros.share import find_file\n'
                 'predictor = Predictor.from_config(find_file("config/demo_detect.json"))\n'
                 'print(predictor.runtime.path)', cwd=tmp_path, AMENT_PREFIX_PATH='',
                 PYTHONPATH=f'{package.parents[1]}{os.pathsep}{search}')
    assert tmp_path / 'prefix' in Path(output.strip()).parents


def test_colcon_s_commands_put_the_executables_where_ros2_run_looks(
        sources, processes, python, tmp_path):
    # https://github.com/colcon/colcon-core/blob/master/colcon_core/task/python/build.py
    prefix, build = tmp_path / 'prefix', tmp_path / 'build'
    build.mkdir()
    run(python, 'setup.py', 'egg_info', '--egg-base', build, 'build', '--build-base', build,
        'install', '--record', tmp_path / 'log', '--prefix', prefix,
        '--single-version-externally-managed', cwd=sources)
    folder = prefix / 'lib' / 'rdk_yolo_ros'
    assert {path.name for path in folder.iterdir()} >= NODES
    assert not (prefix / 'bin').exists()
    package, = prefix.rglob('rdk_yolo_ros/__init__.py')
    env = {'PYTHONPATH': f"{package.parents[1]}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    for name, parameter in (('yolo', 'config_file'), ('source', 'source')):
        process = processes(folder / name, '--ros-args', '-p', f'{parameter}:=/no/such', env=env)
        assert process.wait() == 1, process.output
        assert len(process.lines) == 1
        assert process.lines[0].startswith(f'{name}: ')
        assert '/no/such' in process.lines[0]


def test_colcon_takes_the_checkout_for_an_ament_python_package():
    if shutil.which('colcon') is None:
        pytest.skip('needs colcon')
    listed = run('colcon', '--log-base', os.devnull, 'list', '--base-paths', ROOT,
                 '--packages-select', 'rdk_yolo_ros', cwd=ROOT)
    assert listed.split()[0] == 'rdk_yolo_ros'
    assert '(ros.ament_python)' in listed
    assert len(listed.splitlines()) == 1
