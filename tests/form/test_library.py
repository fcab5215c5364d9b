# SPDX-License-Identifier: MIT
"""The library as files: what it exports, that lib/ stands alone, and that it keeps no state per process."""

import os
import pathlib
import re
import subprocess

import pytest

import rules

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get('WEFT_BUILD', ROOT / 'build'))
SHARED = BUILD / 'server' / 'libweft.so'
STATIC = BUILD / 'server' / 'libweft.a'
LIB = BUILD / 'lib' / 'libweft_lib.a'

# What the process itself has only one of. Everything else hangs off a loop or an app, or is thread-local or constant.
STATE_OF_THE_PROCESS = {
    'former_segv': 'the signal handlers that the overflow report passes on to',
    'former_bus': 'the same',
    'installed': 'whether the overflow report is',
    'former_urgent': 'the signal handler that the watchdog passes on to',
    'sampling': 'whether its own is installed',
    'once': 'the test mode tells libuv where its memory comes from, once',
}


def run(*command, **options):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60, **options)


def output(*command):
    done = run(*command)
    assert done.returncode == 0, done.stderr
    return done.stdout


def compile_c(path, text, *flags):
    """An object, or with the flags for it a library, from text."""
    source = path.with_suffix('.made_up.c')
    source.write_text(text)
    output('gcc', '-w', *flags, '-o', path, source)
    return path


def exported(library):
    return {line.split()[-1] for line in output('nm', '-D', '--defined-only', library).splitlines()}


def api_complaints(declared, exports):
    return ['%s is declared, and not exported' % name for name in sorted(declared - exports)] + [
        '%s is exported, and not declared in a public header' % name for name in sorted(exports - declared)]


def test_the_exported_names_are_the_declared_ones():
    complaints = api_complaints(rules.declared_api(rules.read_tree(ROOT)), exported(SHARED))
    assert not complaints, '\n' + '\n'.join(complaints)


def test_a_difference_between_exported_and_declared_is_found(tmp_path):
    header = ('/* WEFT_API int weft_of_comment(void); */\n#define WEFT_API\n#define weft_macro(x) WEFT_API weft_not_this(x);\n'
              'WEFT_API WEFT_WAITS int weft_one(int a, void (*fn)(void *));\n'
              'WEFT_API const char *weft_two(void) WEFT_PRINTF(1, 2);\n'
              'WEFT_API int\nweft_three(\n    void);\nint weft_hidden(void);\n')  # fmt: skip
    declared = rules.declared_api({'include/weft/a.h': header})
    assert declared == {'weft_one', 'weft_two', 'weft_three'}
    library = compile_c(tmp_path / 'liba.so', 'int weft_one, weft_two, other;', '-shared', '-fPIC')
    complaints = api_complaints(declared, exported(library))
    assert len(complaints) == 2 and 'weft_three is declared' in complaints[0] and 'other is exported' in complaints[1]


def test_the_declared_names_are_all_of_weft():
    names = rules.declared_api(rules.read_tree(ROOT))
    assert {'weft_run_', 'weft_app_main', 'weft_queue_put_', 'weft_strerror'} <= names
    assert all(name.startswith('weft_') for name in names)


def test_the_shared_library_says_its_name():
    assert re.search(r'SONAME.*\[libweft\.so\.0\]', output('readelf', '-d', SHARED))


def hardening_complaints(library):
    """What a library lacks of: all symbols bound when it is loaded, the table of them read-only then, no executable stack."""
    dynamic, segments = output('readelf', '-dW', library), output('readelf', '-lW', library)
    stack = re.search(r'GNU_STACK.*\s(R\w+)\s', segments)
    complaints = []
    if not re.search(r'\(FLAGS\).*BIND_NOW|\(FLAGS_1\).*NOW', dynamic):
        complaints.append('it binds symbols lazily')
    if 'GNU_RELRO' not in segments:
        complaints.append('its table of symbols stays writable')
    if not stack or 'E' in stack.group(1):
        complaints.append('its stack is executable')
    if 'TEXTREL' in dynamic:
        complaints.append('its code is written to when it is loaded')
    return complaints


def test_the_shared_library_is_linked_with_care():
    assert hardening_complaints(SHARED) == []


@pytest.mark.parametrize('flags, complaint', [
    ([], None),
    (['-Wl,-z,lazy'], 'it binds symbols lazily'),
    (['-Wl,-z,norelro'], 'its table of symbols stays writable'),
    (['-Wl,-z,execstack'], 'its stack is executable'),
], ids=lambda value: ' '.join(value) if isinstance(value, list) else None)  # fmt: skip
def test_a_library_linked_carelessly_is_found(tmp_path, flags, complaint):
    careful = ['-Wl,-z,now', '-Wl,-z,relro', '-Wl,-z,noexecstack']
    library = compile_c(tmp_path / 'liba.so', 'int weft_one(void) { return 1; }', '-shared', '-fPIC', *careful, *flags)
    assert hardening_complaints(library) == ([complaint] if complaint else [])


SWITCHES = {
    'x86_64': ('gcc', 'objdump', 'endbr64', None),
    'aarch64': ('aarch64-linux-gnu-gcc', 'aarch64-linux-gnu-objdump', r'(bti\tc|hint\t#0x22)', 'BTI'),
}


@pytest.mark.parametrize('processor', SWITCHES)
def test_the_assembly_may_be_jumped_to_and_not_be_executed_on_the_stack(processor, tmp_path):
    compiler, objdump, landing_pad, note = SWITCHES[processor]
    switch = tmp_path / 'switch.o'
    output(compiler, '-c', ROOT / 'lib' / 'coro' / ('switch_%s.S' % processor), '-o', switch)
    entries = re.findall(r'<(weft_switch_(?:|start_|call_|walk_))>:\n[^\n]*?\t(?:[0-9a-f ]+\t)([^\n]*)',
                         output(objdump, '-d', switch))  # fmt: skip
    assert sorted(name for name, _ in entries) == ['weft_switch_', 'weft_switch_call_', 'weft_switch_start_',
                                                   'weft_switch_walk_']  # fmt: skip
    assert all(re.match(landing_pad, first) for _, first in entries), entries
    stack = re.search(r'\.note\.GNU-stack +PROGBITS +\S+ \S+ \S+ \S+ +(\w*) ', output('readelf', '-SW', switch))
    assert stack and 'X' not in stack.group(1)
    assert not note or note in output('readelf', '-nW', switch)


def link_alone(archive, program, source=ROOT / 'tests' / 'form' / 'lib_alone.c'):
    """Links all of an archive, used or not, with the source and the third-party libraries, and no server."""
    packages = ['libuv', 'jansson', 'openssl']
    if run('pkg-config', '--exists', 'libllhttp').returncode == 0:
        packages.append('libllhttp')
    if 'dwfl_begin' in output('nm', archive):
        packages.append('libdw')
    libraries = output('pkg-config', '--libs', *packages).split()
    # What WebSockets need, where they are built in: wslay has no .pc file.
    libraries += ['-Wl,--as-needed', '-lwslay', '-lcrypto', '-lz']
    return run('gcc', '-I', ROOT / 'include', '-D_GNU_SOURCE', source, '-o', program, '-Wl,--whole-archive', archive,
               '-Wl,--no-whole-archive', *libraries, '-pthread')  # fmt: skip


def test_lib_alone_links_and_runs(tmp_path):
    done = link_alone(LIB, tmp_path / 'alone')
    assert done.returncode == 0, done.stderr
    ran = run(tmp_path / 'alone')
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, '6\n', '')


def test_a_library_that_needs_the_server_does_not_link_alone(tmp_path):
    wrong = compile_c(tmp_path / 'a.o', 'void weft_app_stop(void *);\nvoid weft_wrong(void *p) { weft_app_stop(p); }', '-c')
    output('ar', 'rc', tmp_path / 'liba.a', wrong)
    main = tmp_path / 'main.c'
    main.write_text('int main(void) { return 0; }\n')
    done = link_alone(tmp_path / 'liba.a', tmp_path / 'alone', main)
    assert done.returncode != 0 and 'weft_app_stop' in done.stderr


SYMBOL = re.compile(r'^[0-9a-f]+ .{7} (\.data|\.bss|\*COM\*)(?:\.(?!rel\.ro)\S*)?\s+[0-9a-f]+ (?:\.hidden )?(\S+)$')


def state_of(archive):
    """The variables in an archive that can be written and are no thread's own, llhttp's left out."""
    names, member = set(), ''
    for line in output('objdump', '-t', archive).splitlines():
        if 'file format' in line:
            member = line.split(':')[0]
        found = SYMBOL.match(line)
        if found and 'llhttp' not in member and ' d  ' not in line:
            names.add(found.group(2).split('.')[0])
    return names


def test_there_is_no_state_per_process():
    assert state_of(STATIC) <= set(STATE_OF_THE_PROCESS)


@pytest.mark.parametrize('text, names', [
    ('int a; int b = 1; static int c; int *f(void) { static int d = 2; return &d + c++; }', {'a', 'b', 'c', 'd'}),
    ('_Thread_local int a, b = 1; const int c = 1; static const char *const d[] = { "x" }; const void *f(void) { return d; }',
     set()),
])  # fmt: skip
@pytest.mark.parametrize('flags', [[], ['-fdata-sections'], ['-fcommon'], ['-fPIC']], ids=' '.join)
def test_state_per_process_is_found(tmp_path, text, names, flags):
    output('ar', 'rc', tmp_path / 'liba.a', compile_c(tmp_path / 'a.o', text, '-c', *flags))
    assert state_of(tmp_path / 'liba.a') == names
