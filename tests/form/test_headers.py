# SPDX-License-Identifier: MIT
"""Each header compiles alone, and twice; the public ones as C99 and as C++, by gcc and clang where they are installed."""

import pathlib
import subprocess

import pytest

import rules

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCES = rules.read_tree(ROOT)
PUBLIC = sorted(rules.only(SOURCES, suffixes=('.h',), under=('include/',)))
PRIVATE = sorted(rules.only(SOURCES, suffixes=('.h',), under=('lib/', 'server/')))
STRICT = ['-fsyntax-only', '-Wall', '-Wextra', '-Wshadow', '-Werror']
LANGUAGES = {
    'gcc, C99': ['gcc', '-x', 'c', '-std=c99', '-pedantic-errors', '-Wconversion', '-Wstrict-prototypes'],
    'clang, C99': ['clang', '-x', 'c', '-std=c99', '-pedantic-errors', '-Wconversion', '-Wstrict-prototypes'],
    'g++, C++17': ['g++', '-x', 'c++', '-std=c++17', '-pedantic-errors'],
    'clang++, C++17': ['clang++', '-x', 'c++', '-std=c++17', '-pedantic-errors'],
}
INSIDE = ['gcc', '-x', 'c', '-std=gnu11', '-D_GNU_SOURCE', '-I.', '-Wno-unused-function']


def compile_text(compiler, text, *, include=ROOT / 'include'):
    command = [*compiler, *STRICT, '-I', str(include), '-']
    return subprocess.run(command, input=text, cwd=ROOT, capture_output=True, text=True, timeout=60)


def alone(header):
    """A program that is the header, twice: its guard holds. Something follows, for an empty unit is not C99."""
    return '#include %s\n#include %s\nextern int something;\n' % (header, header)


@pytest.mark.parametrize('language', LANGUAGES)
@pytest.mark.parametrize('path', PUBLIC)
def test_public_header_alone(path, language):
    done = compile_text(LANGUAGES[language], alone('<%s>' % path[len('include/'):]))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize('path', PRIVATE)
def test_private_header_alone(path):
    done = compile_text(INSIDE, alone('"%s"' % path))
    assert done.returncode == 0, done.stderr


def test_weft_h_brings_everything_but_the_tests():
    named = {header for _, _, header in rules.includes_of(SOURCES['include/weft.h'])}
    assert named == {path[len('include/'):] for path in PUBLIC} - {'weft.h', 'weft/test.h'}


@pytest.mark.parametrize('language', LANGUAGES)
@pytest.mark.parametrize('text', [
    'size_t needs_another_header(void);',  # not alone
    '#ifndef A\nint declared_twice = 1;\n#endif',  # no guard
    'int f(class_of_nothing *p);',
])
def test_a_bad_header_is_found(tmp_path, language, text):
    (tmp_path / 'bad.h').write_text(text + '\n')
    assert compile_text(LANGUAGES[language], alone('<bad.h>'), include=tmp_path).returncode != 0


def test_what_is_not_c99_is_found(tmp_path):
    (tmp_path / 'bad.h').write_text('typedef int a;\ntypedef int a;\n_Static_assert(1, "");\n')
    assert compile_text(LANGUAGES['gcc, C99'], alone('<bad.h>'), include=tmp_path).returncode != 0


def compile_documents(documents):
    """Compiles each C block of some Markdown texts; one that does not include anything gets <weft.h>. The complaints."""
    compiler = ['gcc', '-x', 'c', '-std=gnu11', '-Wno-unused-function', '-Wno-unused-parameter',
                '-Wno-missing-field-initializers']  # fmt: skip
    complaints = []
    for path, text in documents.items():
        for line, code in rules.c_blocks(text):
            before = '' if '#include' in code else '#include <weft.h>\n#include <stdio.h>\n#include <string.h>\n'
            done = compile_text(compiler, '%s#line %d "%s"\n%s' % (before, line, path, code))
            if done.returncode != 0:
                complaints.append(done.stderr)
    return complaints


def test_the_code_in_the_documents_compiles():
    paths = [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', *(ROOT / 'docs').glob('**/*.md')]
    complaints = compile_documents({path.name: path.read_text() for path in paths if path.exists()})
    assert not complaints, '\n'.join(complaints)


def test_wrong_code_in_a_document_is_found():
    good = 'Words.\n\n```c\nint wait_a_little(void)\n{\n    return weft_sleep(WEFT_SECOND);\n}\n```\n'
    assert compile_documents({'a.md': good}) == []
    bad = compile_documents({'a.md': good + '\n```c\nint broken(void) { return weft_slumber(1); }\n```\n'})
    assert len(bad) == 1 and 'a.md:11' in bad[0]
