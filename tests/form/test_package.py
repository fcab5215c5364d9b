# SPDX-License-Identifier: MIT
"""The installed package: with nothing but it and pkg-config, programs build, link both ways, and run."""

import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

import rules

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get('WEFT_BUILD', ROOT / 'build'))
EXAMPLES = ROOT / 'examples'
STRICT = ['-std=gnu11', '-O1', '-Wall', '-Wextra', '-Werror', '-Wno-missing-field-initializers']


def programs():
    """Each example's name and its sources: a file of its own, or a folder that is one program (but those of the documents)."""
    found = {path.stem: [path] for path in EXAMPLES.glob('*.c')}
    for folder in EXAMPLES.iterdir():
        if folder.name in ('http', 'os', 'patterns', 'runtime'):  # a program a file
            found.update({path.stem: [path] for path in folder.glob('*.c')})
        elif folder.is_dir() and list(folder.glob('*.c')):
            found[folder.name] = sorted(folder.glob('*.c'))
    return found


class Package:
    """Weft installed below a folder, as DESTDIR does it, and seen through pkg-config alone."""

    def __init__(self, folder):
        self.folder = folder
        done = subprocess.run(['meson', 'install', '-C', BUILD, '--no-rebuild', '--quiet', '--destdir', folder],
                              capture_output=True, text=True, timeout=120)  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        self.pc = one(folder.glob('**/weft.pc'))
        self.libraries = one(folder.glob('**/libweft.a')).parent

    def flags(self, *options):
        environment = {**os.environ, 'PKG_CONFIG_PATH': str(self.pc.parent), 'PKG_CONFIG_SYSROOT_DIR': str(self.folder)}
        done = subprocess.run(['pkg-config', *options, 'weft'], capture_output=True, text=True, env=environment, timeout=30)
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    def build(self, program, sources, *, compiler=('gcc', *STRICT), static=False, needs=()):
        """What the compiler complains of, '' for nothing."""
        link = self.flags('--cflags', '--libs', *(['--static'] if static else []))
        link += ['-l' + name.removeprefix('lib') for name in needs]
        # Not from the top of the tree, so that nothing of it is found.
        done = subprocess.run([*compiler, *sources, '-o', program, *link], cwd=self.folder, capture_output=True,
                              text=True, timeout=120)  # fmt: skip
        return done.stderr or ('' if done.returncode == 0 else 'status %d' % done.returncode)

    def run(self, program, *arguments):
        return subprocess.Popen([program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                env={**os.environ, 'LD_LIBRARY_PATH': str(self.libraries)})  # fmt: skip


def one(paths):
    paths = list(paths)
    assert len(paths) == 1, paths
    return paths[0]


@pytest.fixture(scope='module')
def package(tmp_path_factory):
    return Package(tmp_path_factory.mktemp('package'))


@pytest.fixture(scope='module')
def static_package(tmp_path_factory):
    """The package without its shared library, as one who links statically would have it."""
    package = Package(tmp_path_factory.mktemp('static'))
    for library in package.libraries.glob('libweft.so*'):
        library.unlink()
    return package


def test_what_is_installed(package):
    files = {str(path.relative_to(package.folder)) for path in package.folder.glob('**/*') if path.is_file()}
    headers = {path for path in files if path.endswith('.h')}
    expected = rules.only(rules.read_tree(ROOT), suffixes=('.h',), under=('include/',))
    assert {path[path.index('/include/') + 1:] for path in headers} == set(expected)
    names = {path.rsplit('/', 1)[1] for path in files - headers}
    version = package.flags('--modversion')[0]
    assert names == {'weft.pc', 'libweft.a', 'libweft.so', 'libweft.so.0', 'libweft.so.' + version}


def test_the_archive_is_machine_code_only(package):
    sections = subprocess.run(['readelf', '-SW', package.libraries / 'libweft.a'], capture_output=True, text=True).stdout
    assert sections.count(' .text') > 10 and '.gnu.lto' not in sections


def test_the_versions_agree(package, tmp_path):
    source = tmp_path / 'version.c'
    source.write_text('#include <weft.h>\n#include <stdio.h>\nint main(void)\n{\n    printf("%d.%d.%d %s", WEFT_VERSION_MAJOR, '
                      'WEFT_VERSION_MINOR, WEFT_VERSION_PATCH, weft_version());\n    return 0;\n}\n')  # fmt: skip
    assert package.build(tmp_path / 'version', [source]) == ''
    version = package.flags('--modversion')[0]
    assert package.run(tmp_path / 'version').communicate(timeout=30)[0] == '%s %s' % (version, version)


COMPILERS = {
    'gcc': ['gcc', *STRICT],
    'clang': ['clang', *STRICT],
    'gcc, C99': ['gcc', '-std=c99', '-pedantic-errors'],
}
CXX = {'g++': ['g++', '-std=c++17', '-pedantic-errors', '-Wall', '-Werror'],
       'clang++': ['clang++', '-std=c++17', '-pedantic-errors', '-Wall', '-Werror']}  # fmt: skip
USER_OF_THE_RUNTIME = '''
#include <weft.h>

static int nap(void *arg)
{
    int *slept = (int *)arg;
    int rc = weft_sleep(2 * WEFT_MILLISECOND);
    *slept = rc == 0;
    return rc;
}

int main(void)
{
    int slept = 0;
    int rc = weft_run(nap, &slept);
    return rc == 0 && slept ? 0 : 1;
}
'''


@pytest.mark.parametrize('static', [False, True], ids=['shared', 'static'])
@pytest.mark.parametrize('compiler', [*COMPILERS, *CXX])
def test_a_program_of_the_runtime(compiler, static, package, static_package, tmp_path):
    command = {**COMPILERS, **CXX}[compiler]
    source = tmp_path / ('user.cpp' if compiler in CXX else 'user.c')
    source.write_text(USER_OF_THE_RUNTIME)
    which = static_package if static else package
    assert which.build(tmp_path / 'user', [source], compiler=command, static=static) == ''
    assert which.run(tmp_path / 'user').wait(timeout=30) == 0


def test_a_program_that_uses_what_is_private_is_refused(package, tmp_path):
    source = tmp_path / 'private.c'
    source.write_text('void *weft_mem_alloc(unsigned long n);\nint main(void) { return !weft_mem_alloc(1); }\n')
    assert 'weft_mem_alloc' in package.build(tmp_path / 'private', [source])
    source.write_text('#include "lib/base/memory.h"\nint main(void) { return 0; }\n')
    assert 'memory.h' in package.build(tmp_path / 'private', [source])


def test_the_examples_are_there():
    assert {'hello', 'demo'} <= set(programs())


@pytest.mark.parametrize('name', sorted({'hello', 'demo'} | set(programs())))
def test_an_example_builds(name, package, tmp_path):
    assert name in programs(), 'there is no examples/%s.c' % name
    text = ''.join(path.read_text() for path in programs()[name])
    needs = re.findall(r'needs: (\w+)', text)  # beside Weft, by pkg-config
    parts = [EXAMPLES / part for part in re.findall(r'with: (\S+\.c)', text)]  # of other examples
    pages = []
    for folder in {EXAMPLES / name, *(part.parent for part in parts)}:  # what meson makes of pages
        for page in [path for path in folder.glob('*') if path.suffix in ('.html', '.css', '.js')]:
            array = '%s_%s' % (folder.name, page.stem)
            pages.append(tmp_path / (array + '.c'))
            embed = [sys.executable, EXAMPLES / 'demo' / 'embed.py', array, page]
            pages[-1].write_bytes(subprocess.run(embed, check=True, capture_output=True).stdout)
    assert package.build(tmp_path / name, [*programs()[name], *parts, *pages], needs=needs) == ''


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def get(url, patience=10):
    """The body at url, as soon as somebody listens."""
    end = time.monotonic() + patience
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while True:
        try:
            return opener.open(url, timeout=patience).read().decode()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)


@pytest.mark.parametrize('static', [False, True], ids=['shared', 'static'])
def test_hello_serves(static, package, static_package, tmp_path):
    which = static_package if static else package
    assert which.build(tmp_path / 'hello', programs().get('hello', ['examples/hello.c']), static=static) == ''
    port = free_port()
    server = which.run(tmp_path / 'hello', '--listen', '127.0.0.1:%d' % port)
    try:
        assert get('http://127.0.0.1:%d/' % port) == 'Hello, Anonymous!'
        assert get('http://127.0.0.1:%d/World' % port) == 'Hello, World!'
        server.send_signal(signal.SIGTERM)
        log, _ = server.communicate(timeout=20)
        assert server.returncode == 0, log
    finally:
        server.kill()
        server.wait()
    uses_shared = 'libweft' in subprocess.run(['readelf', '-d', tmp_path / 'hello'], capture_output=True, text=True).stdout
    assert uses_shared != static
