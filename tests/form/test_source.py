# SPDX-License-Identifier: MIT
"""The rules of form over the tree; and, for each rule, made-up sources to which it must object."""

import pathlib
import re
import shutil
import subprocess

import pytest

import rules

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCES = rules.read_tree(ROOT)
RULES = [rules.layers, rules.doors, rules.banned_calls, rules.licence_lines, rules.lengths, rules.tidiness]


@pytest.mark.parametrize('rule', RULES, ids=lambda rule: rule.__name__)
def test_the_tree_keeps(rule):
    complaints = rule(SOURCES)
    assert not complaints, '\n' + '\n'.join(complaints)


def test_the_tree_is_read_whole():
    for path in ('include/weft.h', 'lib/base/memory.c', 'server/meson.build', 'scripts/run', '.ci/run', 'weft.map'):
        assert path in SOURCES
    assert len(rules.only(SOURCES, under=('lib/',))) > 10
    assert not [path for path in SOURCES if path.startswith(('build', '.git/'))]


HEADERS = {path: '' for path in (
    'lib/base/list.h', 'lib/coro/coro.h', 'lib/task/task.h', 'lib/sync/queue.h', 'lib/net/net.h', 'lib/http/head.h',
    'server/app.h', 'tests/unit/helper.h')}  # fmt: skip
INCLUDED = [
    ('lib/base/a.c', '#include "lib/coro/coro.h"', 'lib/base may not know lib/coro'),
    ('lib/coro/a.c', '#include "lib/task/task.h"', 'lib/coro may not know lib/task'),
    ('lib/task/a.h', '#include "lib/sync/queue.h"', 'lib/task may not know lib/sync'),
    ('lib/task/a.c', '#include "lib/net/net.h"', 'lib/task may not know lib/net'),
    ('lib/sync/a.c', '#include "lib/net/net.h"', 'lib/sync may not know lib/net'),
    ('lib/http/a.c', '#include "lib/task/task.h"', 'lib/http may not know lib/task'),
    ('lib/json/a.c', '  #  include "lib/coro/coro.h"', 'lib/json may not know lib/coro'),
    ('lib/net/a.c', '#include "lib/http/head.h"', 'lib/net may not know lib/http'),
    ('lib/net/a.c', '#include "server/app.h"', 'lib knows nothing of server'),
    ('lib/net/a.c', '#include "tests/unit/helper.h"', 'lib knows nothing of tests'),
    ('lib/net/a.c', '#include "net.h"', 'no header net.h'),
    ('lib/net/a.c', '#include "../../server/app.h"', 'no header ../../server/app.h'),
    ('lib/net/a.c', '#include <server/app.h>', 'in quotes'),
    ('lib/other/a.c', '', 'no room lib/other'),
    ('lib/a.c', '', 'no room'),
    ('server/a.c', '#include "tests/unit/helper.h"', 'server knows nothing of tests'),
    ('include/weft/a.h', '#include "lib/base/list.h"', 'public headers only'),
    ('examples/a.c', '#include "lib/base/list.h"', 'public headers only'),
    ('lib/task/a.c', '#include <weft/task.h>\n#include "lib/base/list.h"\n#include "lib/coro/coro.h"', None),
    ('lib/net/a.c', '#include "lib/task/task.h"\n#include "lib/base/list.h"', None),
    ('server/a.c', '#include "lib/net/net.h"\n#include "server/app.h"\n#include <stdio.h>', None),
    ('tests/unit/a.c', '#include "helper.h"\n#include "lib/net/net.h"\n#include "server/app.h"', None),
    ('examples/a.c', '#include <weft.h>', None),
    ('examples/demo/a.c', '#include "page.h"', None),
    ('include/weft/a.h', '#include "base.h"', 'public headers only'),
    ('lib/base/a.c', '/* so one would\n * #include "server/app.h" */', None),
]


@pytest.mark.parametrize('path, text, expected', INCLUDED)
def test_layers_object(path, text, expected):
    complaints = rules.layers({**HEADERS, path: text})
    assert (len(complaints) == 1 and expected in complaints[0]) if expected else complaints == []


@pytest.mark.parametrize('path, text, is_wrong', [
    ('server/a.c', '#include <uv.h>', True),
    ('lib/sync/a.c', '#include "uv.h"', True),
    ('lib/http/other.c', '#include <llhttp.h>', True),
    ('server/a.c', '#include <jansson.h>', True),
    ('lib/ws/a.c', '#include <openssl/sha.h>', True),
    ('examples/a.c', '#include <uv.h>', True),
    ('include/weft/a.h', '#include <uv.h>', True),
    ('include/weft/a.h', '#include <sys/socket.h>', True),
    ('include/weft/a.h', '#include <stdint.h>\n#include <weft/base.h>', False),
    ('lib/task/a.c', '#include <uv.h>', True),
    ('lib/net/a.c', '#include <uv.h>', True),
    ('lib/task/poll.c', '#include <uv.h>', False),
    ('lib/http/head.c', '#include <llhttp.h>', False),
    ('lib/http/chunked.c', '#include <llhttp.h>', False),
    ('lib/json/a.c', '#include <jansson.h>', False),
    ('bench/peer.c', '#include <uv.h>', False),
])  # fmt: skip
def test_doors_object(path, text, is_wrong):
    assert bool(rules.doors({path: text})) == is_wrong


def test_doors_count_who_enters():
    most = rules.DOORS['jansson.h'][1]
    files = {'lib/json/%d.c' % number: '#include <jansson.h>' for number in range(most + 1)}
    assert rules.doors(files) and not rules.doors(dict(list(files.items())[1:]))


@pytest.mark.parametrize('path, text, is_wrong', [
    ('lib/base/a.c', 'strcpy(a, b);', True),
    ('tests/unit/a.c', 'int n = atoi (text);', True),
    ('server/a.c', 'x = cond ? sprintf(a, "b") : 0;', True),
    ('server/a.c', 'char *p = alloca(10);', True),
    ('server/a.c', 'void *p = malloc(10);', True),
    ('lib/net/a.c', '    free(p);', True),
    ('lib/net/a.c', 'log(strerror(errno));', True),
    ('bench/a.c', 'log(strerror(errno));', False),
    ('lib/base/memory.c', 'return malloc(10);', False),
    ('tests/unit/a.c', 'void *p = malloc(10);', False),
    ('server/a.c', 'weft_mem_free(p); list->free(p); list.free(p); snprintf(a, 1, "b"); strtok_r(a, b, c);', False),
    ('server/a.c', '/* never strcpy(a, b) */ puts("strcpy(a, b)"); // alloca(1)', False),
])  # fmt: skip
def test_banned_calls_object(path, text, is_wrong):
    assert bool(rules.banned_calls({path: text})) == is_wrong


@pytest.mark.parametrize('text, is_wrong', [
    ('', True),
    ('int a;\n', True),
    ('int a;\n/* SPDX-License-Identifier: MIT */\n', True),
    ('/* SPDX-License-Identifier: GPL-3.0 */\n', True),
    ('/* SPDX-License-Identifier: MIT */\n', False),
    ('#!/bin/sh\n# SPDX-License-Identifier: MIT\n', False),
])
def test_licence_lines_object(text, is_wrong):
    assert bool(rules.licence_lines({'a.c': text})) == is_wrong


def test_lengths_object():
    assert rules.lengths({'lib/base/a.c': '\n' * (rules.LINES_MAX + 1)})
    assert rules.lengths({'server/a.h': '\n' * (rules.LINES_MAX + 1)})
    assert not rules.lengths({'lib/base/a.c': '\n' * rules.LINES_MAX, 'tests/a.c': '\n' * 2000})


@pytest.mark.parametrize('text, is_wrong', [
    ('int a; \n', True), ('\tint a;\n', True), ('int a;', True), ('x' * 129 + '\n', True), ('/* TO' + 'DO: more */\n', True),
    ('int a;\n', False), ('x' * 128 + '\n', False), ('', False),
])  # fmt: skip
def test_tidiness_objects(text, is_wrong):
    assert bool(rules.tidiness({'a.c': text})) == is_wrong


def test_code_keeps_its_lines_and_loses_its_words():
    code = rules.code_of('a /* b\nc */ "d\\"e" // f\n\'"\' g')
    assert code.count('\n') == 2 and 'a' in code and 'g' in code
    assert not any(word in code for word in 'bcdef')


def clang_format():
    """clang-format 14, the one whose opinion the committed file was written for; others differ in details."""
    programs = [program for program in map(shutil.which, ('clang-format-14', 'clang-format')) if program]
    assert programs, 'clang-format is not installed'
    for program in programs:
        if ' version 14.' in subprocess.run([program, '--version'], capture_output=True, text=True).stdout:
            return program
    pytest.skip('this clang-format is another one than 14')


def misformatted(program, paths, cwd):
    """The first complaint about each of `paths` that clang-format would change. (To start it takes longer than a file.)"""
    style = '--style=file:%s' % (ROOT / '.clang-format')
    done = subprocess.run([program, style, '--dry-run', '--Werror', *paths], cwd=cwd, capture_output=True, text=True)
    complaints = re.findall(r'^(.+?):\d+:\d+: error: .*$', done.stderr, re.MULTILINE)
    assert (done.returncode != 0) == bool(complaints), done.stderr
    lines = done.stderr.splitlines()
    return [next(line for line in lines if line.startswith(path + ':')) for path in dict.fromkeys(complaints)]


def test_the_sources_are_formatted():
    wrong = misformatted(clang_format(), rules.only(SOURCES), ROOT)
    assert not wrong, '\n' + '\n'.join(wrong)


def test_a_misformatted_source_is_found(tmp_path):
    (tmp_path / 'good.c').write_text('int main(void)\n{\n    return 0;\n}\n')
    (tmp_path / 'bad.c').write_text('int main(void) {\n  return 0; }\n')
    wrong = misformatted(clang_format(), ['good.c', 'bad.c'], tmp_path)
    assert len(wrong) == 1 and wrong[0].startswith('bad.c')
