# SPDX-License-Identifier: MIT
"""The documents say what is so: their code is that of programs, which print what is shown and answer as is shown; links,
files, calls, options, flags and messages that they name are there."""

import importlib.util
import os
import pathlib
import re
import signal
import socket
import subprocess
import time

import pytest

import documents

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get('WEFT_BUILD', ROOT / 'build'))
SANITIZER = os.environ.get('WEFT_SANITIZER', 'none')
PATHS = [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', *sorted((ROOT / 'docs').glob('**/*.md'))]
TEXTS = {str(path.relative_to(ROOT)): path.read_text() for path in PATHS}
BLOCKS = [(name, block) for name, text in TEXTS.items() for block in documents.blocks(text)]
# The marks of each kind of block.
CHECKED = {'c': 'from', 'js': 'from', 'python': 'from', 'text': ('output of', 'report of', 'like'), 'console': 'serve'}


def place(name, block):
    return '%s:%d' % (name.rsplit('/', 1)[-1], block.line)


def marked(mark):
    """The blocks of a mark, as parameters of a test: (document, block, the words behind the mark)."""
    found = [(name, block, block.mark[len(mark) + 1:]) for name, block in BLOCKS if (block.mark or '').startswith(mark + ' ')]
    assert found, 'no block is marked "%s"' % mark
    return [pytest.param(*each, id=place(*each[:2])) for each in found]


def test_each_block_says_what_it_agrees_with():
    wrong = [place(name, block) for name, block in BLOCKS
             if block.kind not in CHECKED or not (block.mark or '').startswith(CHECKED[block.kind])]  # fmt: skip
    assert not wrong


@pytest.mark.parametrize('name, block, path', marked('from'))
def test_code_stands_in_its_program(name, block, path):
    assert path.startswith('examples/')
    assert documents.stands_in(block.text, (ROOT / path).read_text()), 'not in %s:\n%s' % (path, block.text)


def test_the_readme_shows_the_whole_program():
    first = documents.blocks(TEXTS['README.md'])[0]
    source = (ROOT / 'examples/hello.c').read_text()
    assert first.text == source[source.index('#include'):]


@pytest.mark.parametrize('folder', ['runtime', 'http', 'os'])
def test_each_program_is_shown(folder):
    marks = {block.mark for _, block in BLOCKS}
    programs = sorted((ROOT / 'examples' / folder).glob('*.c'))
    assert programs
    for path in programs:
        program = 'examples/%s/%s' % (folder, path.stem)
        assert 'from %s.c' % program in marks, '%s.c is not shown' % program
        ran = [mark for mark in marks if mark and re.match('(output of|serve) %s( |$)' % program, mark)]
        assert ran, 'nothing shows what %s does' % program


def test_each_pair_of_programs_is_shown():
    marks = {block.mark for _, block in [each for each in BLOCKS if each[0] == 'docs/asyncio.md']}
    twins = sorted((ROOT / 'examples' / 'patterns').glob('*.py'))
    assert twins
    for path in twins:
        assert path.with_suffix('.c').exists(), path
        for suffix in ('.py', '.c'):
            assert 'from examples/patterns/' + path.stem + suffix in marks, '%s%s is not shown' % (path.stem, suffix)


@pytest.mark.parametrize('name, block, command', marked('output of'))
def test_output(name, block, command):
    command, _, death = command.partition(', ')
    program, *arguments = command.split()
    if death and SANITIZER == 'thread':
        pytest.skip('the thread sanitizer lays out frames in its own way')
    done = subprocess.run([BUILD / program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=60)  # fmt: skip
    assert documents.even(done.stdout) == documents.even(block.text)
    assert done.returncode == (-getattr(signal, death) if death else 0)


def load_patterns():
    spec = importlib.util.spec_from_file_location('test_patterns', ROOT / 'tests/patterns/test_patterns.py')
    patterns = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(patterns)
    return patterns


@pytest.mark.parametrize('name, block, path', marked('like'))
def test_what_is_shown_is_like_what_is_expected(name, block, path):
    assert load_patterns().agrees(block.text, (ROOT / path).read_text())


class Server:
    """A program that serves on a free port, ended by SIGTERM."""

    def __init__(self, program, *arguments):
        with socket.socket() as probe:
            probe.bind(('127.0.0.1', 0))
            self.port = probe.getsockname()[1]
        address = '127.0.0.1:%d' % self.port
        source = (ROOT / program).with_suffix('.c')
        has_flags = not source.exists() or 'weft_app_main' in source.read_text()
        flags = ['--listen', address] if has_flags else [address]
        environment = {key: value for key, value in os.environ.items() if not key.startswith('WEFT_')}
        self.process = subprocess.Popen([BUILD / program, *flags, *arguments], stderr=subprocess.PIPE, text=True,
                                        env=environment)  # fmt: skip
        for _ in range(1000):
            with socket.socket() as probe:
                if probe.connect_ex(('127.0.0.1', self.port)) == 0:
                    return
            if self.process.poll() is not None:
                break
            time.sleep(0.01)
        self.process.kill()
        raise AssertionError('%s does not serve: %s' % (program, self.process.communicate()[1]))

    def curl(self, command):
        assert re.search(r'\bcurl ', command), command
        command = re.sub(r'\bcurl ', 'curl -sS --noproxy "*" ', command, count=1)
        command = command.replace('localhost:8080', '127.0.0.1:%d' % self.port)
        done = subprocess.run(['bash', '-c', command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30)
        return done.stdout

    def stop(self):
        """Its exit status and its log."""
        self.process.send_signal(signal.SIGTERM)
        try:
            log = self.process.communicate(timeout=30)[1]
        finally:
            self.process.kill()
        return self.process.returncode, log


def sessions():
    """(document, program) -> its blocks, which one server answers in their order."""
    found = {}
    for name, block in BLOCKS:
        if block.kind == 'console' and (block.mark or '').startswith('serve '):
            found.setdefault((name, block.mark[len('serve '):]), []).append(block)
    assert ('README.md', 'examples/demo') in found
    return [pytest.param(*key, each, id=', '.join(word.rsplit('/', 1)[-1] for word in key)) for key, each in found.items()]


@pytest.mark.parametrize('name, command, session', sessions())
def test_session(name, command, session):
    server = Server(*command.split())
    try:
        for block in session:
            for asked, answer in documents.commands(block.text):
                assert documents.even(server.curl(asked)) == documents.even(answer), '%s: %s' % (place(name, block), asked)
    finally:
        status, log = server.stop()
    assert status == 0, log


@pytest.mark.parametrize('name, block, program', marked('report of'))
def test_report(name, block, program):
    status, log = Server(program).stop()
    assert status == 0

    def without_numbers(text):
        return re.sub(r'\d+', 'N', documents.even(text))
    assert without_numbers(log.splitlines()[-1]) == without_numbers(block.text)


@pytest.mark.parametrize('name', TEXTS)
def test_links(name):
    wrong = []
    for link in documents.links(TEXTS[name]):
        if re.match(r'https?://', link):
            continue
        path, _, anchor = link.partition('#')
        target = ((ROOT / name).parent / path).resolve() if path else ROOT / name
        if not target.exists() or ROOT not in target.parents:
            wrong.append(link)
        elif anchor and anchor not in documents.headings(target.read_text()):
            wrong.append(link)
    assert not wrong


OURS = ('.ci/', 'bench/', 'docs/', 'examples/', 'include/', 'lib/', 'scripts/', 'server/', 'tests/')


@pytest.mark.parametrize('name', [name for name in TEXTS if name != 'CONTRIBUTING.md'])
def test_files_that_are_named(name):
    wrong = []
    for quoted in documents.quoted(TEXTS[name]):
        path = quoted.split()[0].removeprefix('./').rstrip(',')
        if path.startswith('build/examples/'):
            path = path[len('build/'):]
            sources = [path + '.c', '%s/%s.c' % (path, path.rsplit('/', 1)[1]), path]
            wrong += [] if any((ROOT / source).exists() for source in sources) else [quoted]
        elif path.startswith(OURS) and not (ROOT / path).exists():
            wrong.append(quoted)
    assert not wrong


def headers():
    return '\n'.join(path.read_text() for path in sorted((ROOT / 'include').glob('**/*.h')))


@pytest.mark.parametrize('name', TEXTS)
def test_calls_that_are_named(name):
    known = set(re.findall(r'\b(?:weft|WEFT)_\w+', headers() + (ROOT / 'server/main.c').read_text()))
    named = {word for quoted in documents.quoted(TEXTS[name]) for word in re.findall(r'\b(?:weft|WEFT)_\w+', quoted)}
    if name in ('CONTRIBUTING.md', 'docs/performance.md'):  # they speak of the inside too
        named = {word for word in named if word.isupper() and not word.endswith('_')}
    assert named <= known, sorted(named - known)


def test_messages_of_misuse():
    sources = [path.read_text() for room in ('lib', 'server') for path in sorted((ROOT / room).glob('**/*.c'))]
    patterns = documents.misuse_messages(sources)
    tables = [TEXTS[name].split('| message |')[1] for name in ('docs/runtime.md', 'docs/coordination.md')]
    messages = [message for table in tables for message in re.findall(r'^\| `([^`]*)` \|.*\|$', table, re.MULTILINE)]
    assert len(messages) > 12
    wrong = [message for message in messages if not any(pattern.fullmatch(message) for pattern in patterns)]
    assert not wrong


def fields(struct):
    """The names of the members of a public struct, but for those that macros set."""
    body = re.search(r'typedef struct %s \{(.*?)\n\} %s;' % (struct, struct), headers(), re.DOTALL).group(1)
    body = re.sub(r'/\*.*?\*/', '', body, flags=re.DOTALL)
    names = [part.split()[-1].strip('*') for part in re.split('[;,]', body) if part.strip()]
    return set(names) - {'struct_size', 'file', 'line'}


@pytest.mark.parametrize('struct', ['weft_app_options', 'weft_route_options'])
def test_options_are_all_named(struct):
    named = {word for quoted in documents.quoted(TEXTS['docs/http.md']) for word in re.findall(r'\w+', quoted)}
    assert len(fields(struct)) > 4
    assert fields(struct) <= named, sorted(fields(struct) - named)


def test_options_of_the_table_exist():
    known = fields('weft_app_options') | fields('weft_route_options') | fields('weft_ws_options')
    rows = documents.table(TEXTS['docs/http.md'], 'Limits and defaults')
    named = {word for row in rows for word in re.findall(r'`(\w+)`', row[0])}
    assert len(named) > 10
    assert named <= known, sorted(named - known)


def rows_of(macro):
    """The rows of a table of server/limit.h: lists of their arguments."""
    text = (ROOT / 'server/limit.h').read_text()
    body = re.search(r'#define %s\(ROW\)(.*?[^\\])\n' % macro, text, re.DOTALL).group(1)
    return [re.split(r', (?![^"]*"\s*$)', row) for row in re.findall(r'\bROW\((.*)\)', body)]


def in_words(value):
    """A default of server/limit.h as the document says it: "8 * WEFT_KIB" is "8 KiB"."""
    for unit, word in (('WEFT_SECOND', 's'), ('WEFT_KIB', 'KiB'), ('WEFT_MIB', 'MiB')):
        value = value.replace('* ' + unit, word)
    return value


def test_the_table_of_limits():
    documented = [row for row in documents.table(TEXTS['docs/http.md'], 'Limits and defaults') if len(row) == 3]
    limits = rows_of('WEFT_LIMITS')
    assert len(limits) > 15
    for (_, option, _, default, _, _, past), row in zip(limits, documented):  # in the same order
        assert re.search(r'`(\w+)`', row[0]).group(1) == option
        assert default == '0' or re.match(re.escape(in_words(default)) + r'\b', row[1]), (option, default, row[1])
        assert row[2].startswith(past.strip('"')), (option, past, row[2])


def test_counters_are_all_named():
    named = set(re.findall(r'\w+', ' '.join(row[0] for row in documents.table(TEXTS['docs/http.md'], 'Counters'))))
    source = (ROOT / 'server/limit.c').read_text()
    names = set(re.findall(r'(?:COUNTER|LEVEL)\(\w+, "(\w+)",', source))
    names |= {'closed_' + name for _, name, _ in rows_of('WEFT_ENDINGS')}
    assert len(names) > 15
    assert named - {'limit_', 'and', 'the', 'option', 's', 'name'} == names


def test_flags():
    text = subprocess.run([BUILD / 'examples/hello', '--help'], capture_output=True, text=True, check=True, timeout=30).stdout
    rows = documents.table(TEXTS['docs/http.md'], 'Flags and environment')
    for what in (r'--[\w-]+', r'WEFT_\w+'):
        assert set(re.findall(what, text)) == set(re.findall(what, ' '.join(row[0] + ' ' + row[1] for row in rows)))


# ---- and each check is shown what it must object to ----


def test_blocks_are_read():
    text = 'Words.\n\n<!-- from a.c -->\n```c\nint a;\n```\n\n```text\nb\n```\n'
    assert documents.blocks(text) == [documents.Block(4, 'c', 'from a.c', 'int a;\n'), documents.Block(8, 'text', None, 'b\n')]
    assert 'int a' not in documents.prose(text) and documents.prose(text).count('\n') == text.count('\n')


@pytest.mark.parametrize('text, expected', [
    ('int b;\n', True), ('int a;\nint b;\n', True), ('nt b;\n', False), ('int  b;\n', False), ('int b;\nint a;\n', False),
    ('int a;\n…\nint c;\n', True), ('int c;\n…\nint a;\n', False), ('int a;\n…\nint a;\n', False), ('…\nint d;\n', False),
])  # fmt: skip
def test_a_changed_block_is_found(text, expected):
    assert documents.stands_in(text, 'int a;\nint b;\nint c;\n') == expected


def test_evening_out_spares_the_rest():
    assert documents.even('2026-11-21T12:00:00.123Z info ../a/b.c:7: x\r\nDate: Sat\r\n') == 'TIME info b.c:7: x\nDate: TIME'
    assert documents.even('a.c:7: x') != documents.even('a.c:8: x')
    assert documents.even('Content-Length: 7') != documents.even('Content-Length: 8')


def test_sessions_links_and_headings_are_read():
    assert documents.commands('$ curl a\n1\n2\n$ curl b\n') == [('curl a', '1\n2\n'), ('curl b', '')]
    text = "# What a handler's result means\n\nSee [this](a/b.md#c) and `weft_run(f)`.\n```c\n# no [link](x)\n```\n"
    assert documents.headings(text) == {'what-a-handlers-result-means'}
    assert documents.links(text) == ['a/b.md#c']
    assert documents.quoted(text) == ['weft_run(f)']
    assert documents.table('# A\n\n| x | y |\n|---|---|\n| 1 | 2 |\n\n# B\n\n| 3 | 4 |\n', 'A') == [['1', '2']]


def test_a_message_that_nobody_says_is_found():
    patterns = documents.misuse_messages(['weft_misuse_die("waiting (%s) outside", what);', 'weft_misuse("a task\'s end");'])
    assert [bool([p for p in patterns if p.fullmatch(m)]) for m in ('waiting (sleep) outside', "a task's end", 'waiting')] == [
        True, True, False]
