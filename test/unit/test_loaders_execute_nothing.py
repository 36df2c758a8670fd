"""What comes from files and the graph is data: nothing in it is run, imported or fetched."""

import ast
from pathlib import Path
import sys

import numpy as np
import pytest

from rdk_yolo_ros.components.plugins import find_component
from rdk_yolo_ros.errors import ComponentError, ModelError, RdkYoloError, WorkConfigError
from rdk_yolo_ros.image_sources import SourceError, open_source
from rdk_yolo_ros.runtimes import open_runtime
from rdk_yolo_ros.work_config import WorkConfig

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / 'rdk_yolo_ros'

# What runs text or bytes as a program, or turns them into objects of any class.
RUNS = {'eval', 'exec', 'compile', 'execfile', 'input'}
RUNS_MODULES = {'pickle', 'cPickle', '_pickle', 'dill', 'marshal', 'shelve', 'code', 'codeop',
                'runpy', 'joblib', 'torch', 'cloudpickle', 'jsonpickle', 'imp'}
# What starts programs by way of a shell, or opens addresses.
SHELLS = {'os.system', 'os.popen', 'subprocess.getoutput', 'subprocess.getstatusoutput',
          'os.startfile'}
NETWORK = {'urllib', 'requests', 'http', 'ftplib', 'httpx', 'telnetlib', 'smtplib', 'xmlrpc'}
# Modules by a name that is worked out, and where that name comes from.
IMPORTS_BY_NAME = {
    '__init__.py': 'a table of this package',
    'cli/checks/machine.py': 'constants of that module',
    'components/plugins.py': 'entry points of installed packages: EntryPoint.load',
    'nodes/executables.py': 'constants of that module',
    'nodes/hbm_images.py': 'a constant',
    'nodes/perception.py': 'a constant',
    'nodes/topic_check.py': 'constants of that module',
    'runtimes/hbm_model.py': 'a constant',
    'runtimes/opening.py': 'a table of that module',
    'runtimes/pyeasy_model.py': 'constants of that module',
    'runtimes/worker_main.py': 'the parent process, a table of runtimes/opening.py',
}


def dotted(node):
    """Return a call's name, `yaml.load`, or '' for what has none."""
    if isinstance(node, ast.Name):
        return node.id
    return f'{dotted(node.value)}.{node.attr}' if isinstance(node, ast.Attribute) else ''


def sources():
    for path in sorted(PACKAGE.rglob('*.py')):
        yield path.relative_to(PACKAGE).as_posix(), ast.parse(path.read_text())


def test_the_package_has_nothing_that_runs_what_it_reads():
    for name, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                modules = [alias.name for alias in node.names] \
                    if isinstance(node, ast.Import) else [node.module or '']
                for module in modules:
                    assert module.split('.')[0] not in RUNS_MODULES | NETWORK, f'{name}: {module}'
            elif isinstance(node, ast.Call):
                called, keywords = dotted(node.func), {k.arg: k.value for k in node.keywords}
                assert called not in RUNS | SHELLS, f'{name}:{node.lineno}'
                assert not called.startswith(('os.exec', 'os.spawn')), f'{name}:{node.lineno}'
                assert 'shell' not in keywords, f'{name}:{node.lineno}'
                assert 'allow_pickle' not in keywords, f'{name}:{node.lineno}'
                assert called not in ('np.load', 'numpy.load'), f'{name}:{node.lineno}'
                if called.startswith('yaml.') and 'load' in called:
                    assert called == 'yaml.load', f'{name}:{node.lineno}'
                    assert dotted(keywords['Loader']) == '_Loader', f'{name}:{node.lineno}'


def test_a_module_s_name_never_comes_from_a_file_or_a_message():
    """A new place belongs into the table only with a name that this package or a user chose."""
    found = {name for name, tree in sources() for node in ast.walk(tree)
             if isinstance(node, ast.Call) and dotted(node.func).rpartition('.')[2] in
             ('import_module', '__import__', 'entry_points', 'spec_from_file_location')}
    assert found == set(IMPORTS_BY_NAME)


@pytest.mark.parametrize(('package', 'plugin'), [
    ('antigravity', 'antigravity'), ('antigravity', 'antigravity::fly'), ('', 'antigravity'),
    ('rdk_yolo_ros', 'antigravity'), ('rdk_yolo_ros', '../antigravity'),
    ('rdk-yolo-ros', 'antigravity:webbrowser')])
def test_a_component_that_is_no_entry_point_is_not_imported(package, plugin):
    with pytest.raises(ComponentError):
        find_component(package, plugin)
    assert 'antigravity' not in sys.modules


class TestTrace:
    """Files that would leave a trace if anything in them were run."""

    @pytest.fixture
    def trace(self, tmp_path):
        """Return the path that is there once something has run."""
        path = tmp_path / 'trace'
        yield path
        assert not path.exists()

    @pytest.mark.parametrize('value', [
        '!!python/object/apply:os.mkdir ["{0}"]', '!!python/object/new:os.mkdir ["{0}"]',
        '!!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path ["{0}"]]',
        '!!python/object/apply:subprocess.check_call [[mkdir, "{0}"]]',
        '!!python/object/apply:builtins.eval ["__import__(\'os\').mkdir(\'{0}\')"]',
        '!!python/object/new:type {{args: [x, [], {{}}]}}', '!!python/name:os.mkdir',
        '!!python/module:antigravity', '!!python/tuple [a]', '!!python/bytes x', '!ruby/object:X',
        '!<tag:yaml.org,2002:python/object/apply:os.mkdir> ["{0}"]'])
    @pytest.mark.parametrize('key', ['class_names', 'model_file', 'unknown'])
    def test_yaml_tags(self, tmp_path, trace, key, value):
        before = set(sys.modules)
        path = tmp_path / 'work.yaml'
        path.write_text(f'{key}: {value.format(trace)}\n')
        with pytest.raises(WorkConfigError):
            WorkConfig.load(path)
        assert 'antigravity' not in set(sys.modules) - before

    @pytest.mark.parametrize('name', [
        '$(mkdir {0})', '`mkdir {0}`', '; mkdir {0}', '| mkdir {0}', 'http://127.0.0.1:9/model.onnx',
        'file:///etc/passwd', '/etc/passwd', '/proc/self/environ', '../../../../etc/passwd',
        '{{__import__("os").mkdir("{0}")}}', '%(trace)s', '${{HOME}}', 'model.onnx\0.txt'])
    def test_paths(self, tmp_path, trace, name):
        config = {'model_file': name.format(trace)}
        with pytest.raises(RdkYoloError):
            # What is a file is opened, and is no model.
            open_runtime(WorkConfig.from_mapping(config, base_dir=tmp_path).model_file)

    @pytest.mark.parametrize(('key', 'text'), [
        ('names', '__import__("os").mkdir("{0}")'),
        ('names', '{{0: __import__("os").mkdir("{0}")}}'),
        ('imgsz', '[open("{0}", "w"), 1]'), ('kpt_shape', '(lambda: open("{0}", "w"))()'),
        ('end2end', 'open("{0}", "w")'), ('names', 'cos\nmkdir\n(S"{0}"\ntR.'),
        ('task', '__import__("os").mkdir("{0}")')])
    def test_onnx_metadata(self, tmp_path, trace, key, text, caplog):
        import onnx_models
        model = onnx_models.colour_detector(tmp_path / 'model.onnx',
                                            metadata={key: text.format(trace)})
        runtime = open_runtime(model)
        assert runtime.metadata.class_names is None
        assert (key == 'imgsz') is ('not understood' not in caplog.text)
        runtime.close()

    @pytest.mark.parametrize('place', ['../secret.bin', '{0}/secret.bin', 'x/../../secret.bin'])
    def test_onnx_weights_outside_of_the_model_s_folder(self, tmp_path, place):
        import onnx_models
        onnx, onnxruntime = onnx_models.onnx, pytest.importorskip('onnxruntime')
        if tuple(map(int, onnxruntime.__version__.split('.')[:2])) < (1, 18):
            pytest.skip('an ONNX Runtime that takes them from anywhere')
        (tmp_path / 'secret.bin').write_bytes(np.arange(5, dtype=np.float32).tobytes())
        folder = tmp_path / 'models'
        folder.mkdir()
        model = onnx.load(str(onnx_models.constant(
            folder / 'model.onnx', {'scores': np.zeros((1, 5), np.float32)})))
        (weights,) = model.graph.initializer
        weights.ClearField('raw_data')
        weights.data_location = onnx.TensorProto.EXTERNAL
        entry = weights.external_data.add()
        entry.key, entry.value = 'location', place.format(tmp_path)
        (folder / 'model.onnx').write_bytes(model.SerializeToString())
        with pytest.raises(ModelError, match='xternal data'):
            open_runtime(folder / 'model.onnx')

    def test_a_bag_s_metadata(self, tmp_path, trace):
        pytest.importorskip('rosbags')
        folder = tmp_path / 'bag'
        folder.mkdir()
        (folder / 'metadata.yaml').write_text(
            'rosbag2_bagfile_information:\n  version: 5\n'
            f'  storage_identifier: !!python/object/apply:os.mkdir ["{trace}"]\n'
            f'  relative_file_paths: [!!python/object/apply:os.mkdir ["{trace}"]]\n')
        with pytest.raises(SourceError):
            open_source(str(folder))

    @pytest.mark.parametrize('suffix', ['.mp4', '.m3u8', '.sdp', '.ffconcat', '.xml'])
    def test_a_video_that_is_a_list_of_other_files(self, tmp_path, trace, suffix):
        secret = tmp_path / 'secret.txt'
        secret.write_text('secret')
        texts = {'.m3u8': '#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/x.ts\n#EXT-X-ENDLIST\n',
                 '.sdp': 'v=0\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n',
                 '.ffconcat': f"ffconcat version 1.0\nfile '{secret}'\nfile 'http://[::1]:9/x'\n"}
        film = tmp_path / f'film{suffix}'
        pipeline = f'filesrc location={secret} ! filesink location={trace}'
        film.write_text(texts.get(suffix, pipeline))
        with pytest.raises(SourceError):
            open_source(str(film))

    @pytest.mark.parametrize('uri', [
        'http://127.0.0.1:9/film.mp4', 'rtsp://127.0.0.1:9/',
        'videotestsrc ! filesink location={0}', '/dev/null', 'pipe:0',
        'concat:/etc/passwd|/etc/hosts', '0'])
    def test_a_source_is_a_file_and_nothing_else(self, trace, uri):
        with pytest.raises(SourceError):
            open_source(uri.format(trace))
