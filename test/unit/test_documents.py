"""The documents point at what exists, and nothing in them is left to fill in."""

from pathlib import Path
import re
import shutil
import subprocess

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([
    *ROOT.glob('*.md'), *(ROOT / 'docs').rglob('*.md'), ROOT / 'models' / 'README.md',
    *(ROOT / 'dev').rglob('README.md')])
FENCE = re.compile(r'^```.*?^```', re.DOTALL | re.MULTILINE)

each_document = pytest.mark.parametrize(
    'document', DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())


def prose(document):
    """Return a document's text without its code blocks."""
    text = FENCE.sub('', document.read_text(encoding='utf-8'))
    return '\n'.join(line for line in text.splitlines() if not line.startswith('    '))


def headings(document):
    """Return the anchors that a page's headings make on GitHub."""
    titles = re.findall(r'^#+ (.+)$', FENCE.sub('', document.read_text(encoding='utf-8')),
                        re.MULTILINE)
    return {re.sub(r'[^\w\- ]', '', title.lower()).replace(' ', '-') for title in titles}


def test_the_documents_are_found():
    names = {path.relative_to(ROOT).as_posix() for path in DOCUMENTS}
    assert names >= {'README.md', 'README_cn.md', 'CONTRIBUTING.md', 'docs/architecture.md',
                     'models/README.md', 'dev/ros_env/README.md'}
    assert not any('site-packages' in name for name in names)


@each_document
def test_links_and_images_lead_somewhere(document):
    for link in re.findall(r'\]\(([^)\s]+)\)', prose(document)):
        if re.match(r'[a-z]+:', link):
            continue
        path, _, anchor = link.partition('#')
        target = document.parent / path if path else document
        assert target.exists(), link
        if anchor:
            assert anchor in headings(target), link


@each_document
def test_nothing_is_left_to_fill_in(document):
    assert not re.findall(r'@@?[A-Z][A-Z_]*@@?', document.read_text(encoding='utf-8'))


@each_document
def test_make_targets_exist(document):
    targets = set(re.findall(r'^([a-z-]+):', (ROOT / 'Makefile').read_text(), re.MULTILINE))
    text = document.read_text(encoding='utf-8')
    calls = re.findall(r'`make ([^`]+)`', text) + re.findall(r'^    make ([^#\n]+)', text,
                                                             re.MULTILINE)
    for call in calls:
        # What follows an assignment may be its value: PYTEST_ARGS='test/unit -k heads'.
        for word in re.split(r' [A-Z_]+=', f' {call}')[0].split():
            assert word in targets, f'make {call}'


@pytest.fixture(scope='module')
def tracked_folders():
    """Return the top-level folders that hold tracked files."""
    if shutil.which('git') is None or not (ROOT / '.git').exists():
        pytest.skip('needs a git checkout')
    listed = subprocess.run(['git', 'ls-files', '-z'], cwd=ROOT, timeout=60, text=True,
                            capture_output=True, check=True).stdout
    return {name.split('/')[0] for name in listed.split('\0') if '/' in name}


@each_document
def test_paths_in_back_quotes_exist(document, tracked_folders):
    for path in re.findall(r'`([\w./-]+)`', prose(document)):
        if '/' in path and path.split('/')[0] in tracked_folders:
            assert (ROOT / path).exists(), path
