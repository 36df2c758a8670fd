"""Compiling the stand-in."""

from pathlib import Path
import subprocess

SOURCES = Path(__file__).parent


def compile_stand_in(folder: Path, compiler: str = 'gcc') -> Path:
    """
    Compile the library into a folder and return its path.

    Raises:
        FileNotFoundError: there is no such compiler.
        RuntimeError: it fails; what it printed is in the message.

    """
    library = Path(folder) / 'libdnn_stand_in.so'
    command = [compiler, '-std=c11', '-O2', '-Wall', '-Wextra', '-fvisibility=hidden',
               '-shared', '-fPIC', '-o', str(library),
               *map(str, sorted(SOURCES.glob('*.c'))), '-lpthread']
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if result.returncode:
        raise RuntimeError(f'{" ".join(command)} failed:\n{result.stderr}')
    return library
