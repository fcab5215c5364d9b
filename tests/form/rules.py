# SPDX-License-Identifier: MIT
"""The rules of form, as functions from sources to complaints.

Sources are a dict of path (from the top of the tree) to text, so that each rule can also be shown a made-up tree and be
proven to object (test_source.py). A complaint is a line "path:line: what is wrong"; no complaints is a pass.
"""

import os
import re

# Who may know whom (DESIGN section 2): a room of lib may include itself, those named here, and what they may include.
ROOMS = {
    'base': [],
    'crypto': ['base'],
    'codec': ['base'],
    'json': ['base'],
    'coro': ['base'],
    'task': ['coro'],
    'sync': ['task'],
    'os': ['task', 'net'],
    'net': ['task'],
    'http': ['base'],
    'ws': ['base', 'crypto', 'codec'],
    'client': ['net', 'http', 'ws'],
    'db': ['task', 'sync', 'os'],
}

# Where a header of another project may be included: in these folders and files, in so many files at most. The rest of the tree
# sees our types.
DOORS = {
    'uv.h': (('lib/task/poll.c',), 1),
    'llhttp.h': (('lib/http/head.c', 'lib/http/chunked.c', 'tests/unit/test_llhttp_strict.c'), 3),
    'llhttp.c': (('lib/http/llhttp_sse42.c',), 1),
    'elfutils/': (('lib/coro/symbols.c',), 1),
    'dwarf.h': (('lib/coro/symbols.c',), 1),
    'jansson.h': (('lib/json/',), 2),
    'openssl/': (('lib/crypto/', 'lib/net/tls_openssl.h', 'examples/demo/', 'bench/broadcast_load.c'), 4),
    'zlib.h': (('lib/codec/', 'tests/'), 3),
    'wslay/': (('lib/ws/', 'tests/'), 2),
    'curl/': (('lib/client/',), 2),
}

BANNED = {
    'strcpy': 'use memcpy with a known size', 'strcat': 'use memcpy with a known size', 'stpcpy': 'use memcpy',
    'strncpy': 'it may leave the NUL out', 'strncat': 'use memcpy with a known size',
    'sprintf': 'use snprintf', 'vsprintf': 'use vsnprintf', 'gets': 'use fgets',
    'atoi': 'it hides errors; use strtol', 'atol': 'it hides errors; use strtol', 'atoll': 'it hides errors; use strtoll',
    'atof': 'it hides errors; use strtod',
    'alloca': 'stacks are small', 'strtok': 'it keeps state per process',
    'localtime': 'it keeps state per process', 'gmtime': 'it keeps state per process', 'ctime': 'it keeps state per process',
    'asctime': 'it keeps state per process',
    'tmpnam': 'use mkstemp', 'tempnam': 'use mkstemp', 'mktemp': 'use mkstemp',
    'setjmp': 'nothing is ever unwound', 'longjmp': 'nothing is ever unwound', 'sigsetjmp': 'nothing is ever unwound',
    'siglongjmp': 'nothing is ever unwound',
}  # fmt: skip
BANNED_IN_THE_LIBRARY = {
    'strerror': 'use weft_strerror', 'rand': 'it keeps state per process', 'srand': 'it keeps state per process',
    'scanf': 'use strtol', 'sscanf': 'use strtol', 'fscanf': 'use strtol', 'system': 'it blocks the loop',
    'sleep': 'it blocks the loop', 'usleep': 'it blocks the loop',
}  # fmt: skip
# In the library memory comes from lib/base/memory.h, where the n-th request can be made to fail.
HEAP = ('malloc', 'calloc', 'realloc', 'reallocarray', 'free', 'strdup', 'strndup', 'asprintf', 'vasprintf', 'aligned_alloc',
        'posix_memalign', 'memalign', 'mmap', 'munmap')  # fmt: skip
HEAP_DOOR = 'lib/base/memory.c'

C_SUFFIXES = ('.c', '.h')
SOURCE_SUFFIXES = C_SUFFIXES + ('.S', '.cpp', '.py', '.sh', '.lua', '.go', '.js', '.css', '.html', '.map', '.build')
PLAIN_NAMES = ('meson_options.txt', '.clang-format', '.editorconfig')
PLAIN_FOLDERS = ('scripts', '.ci')
LINES_MAX = 700
COLUMNS_MAX = 128


def read_tree(root):
    """All sources of the tree, of any language; build directories, caches and hidden folders but .ci left out."""
    sources = {}
    for folder, folders, files in os.walk(root):
        below = os.path.relpath(folder, root)
        folders[:] = [name for name in folders if name == '.ci' or not (
            name.startswith(('.', 'build-')) or name in ('build', '__pycache__', 'node_modules', 'subprojects'))]
        for name in files:
            path = os.path.normpath(os.path.join(below, name))
            if name.endswith(SOURCE_SUFFIXES) or name in PLAIN_NAMES or below in PLAIN_FOLDERS:
                with open(os.path.join(folder, name), encoding='utf-8') as file:
                    sources[path] = file.read()
    return sources


def only(sources, *, suffixes=C_SUFFIXES, under=('',)):
    return {path: text for path, text in sorted(sources.items()) if path.endswith(suffixes) and path.startswith(under)}


CODE_OR_NOT = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)


def code_of(text):
    """The text with comments and the insides of literals blanked, so that lines keep their numbers."""
    def blank(match):
        found = match.group(0)
        if found[0] in '"\'':
            return found[0] + found[-1]
        return ' ' + '\n' * found.count('\n')
    return CODE_OR_NOT.sub(blank, text)


INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)


def includes_of(text):
    """(line, '<' or '"', header) of each #include. Comments are left alone: an #include in one begins with its star."""
    return [(text.count('\n', 0, match.start()) + 1, match.group(1), match.group(2)) for match in INCLUDE.finditer(text)]


def may_know(room):
    """The rooms of lib that a room may include."""
    known, todo = set(), [room]
    while todo:
        name = todo.pop()
        if name not in known:
            known.add(name)
            todo += ROOMS.get(name, [])
    return known


def room_of(path):
    parts = path.split('/')
    return parts[1] if parts[0] == 'lib' and len(parts) > 2 else None


def layer_complaint(path, header, is_quoted, sources):
    """What is wrong with `path` including our own `header`, or None."""
    room, target = room_of(path), room_of(header)
    if not is_quoted:
        return 'a private header is included in quotes' if header.startswith(('lib/', 'server/')) else None
    if path.startswith('examples/') and '/' not in header:
        return None  # its own, or made while building
    if path.startswith(('include/', 'examples/')):
        return '%s/ knows the public headers only, not %s' % (path.split('/')[0], header)
    if header not in sources:
        beside = os.path.normpath(os.path.join(os.path.dirname(path), header))
        if path.startswith(('tests/', 'bench/')) and beside in sources and beside.startswith(('tests/', 'bench/')):
            return None
        return 'no header %s (they are named from the top of the tree)' % header
    if path.startswith('lib/') and not header.startswith('lib/'):
        return 'lib knows nothing of %s' % header.split('/')[0]
    if path.startswith('server/') and header.startswith(('tests/', 'bench/', 'examples/')):
        return 'server knows nothing of %s' % header.split('/')[0]
    if room is not None and target not in may_know(room):
        return 'lib/%s may not know lib/%s' % (room, target)
    return None


def layers(sources):
    complaints = []
    for path, text in only(sources, suffixes=C_SUFFIXES + ('.S', '.cpp')).items():
        room = room_of(path)
        if path.startswith('lib/') and room not in ROOMS:
            complaints.append('%s:1: the design has no room lib/%s' % (path, room))
            continue
        for line, mark, header in includes_of(text):
            complaint = layer_complaint(path, header, mark == '"', sources)
            if complaint:
                complaints.append('%s:%d: %s' % (path, line, complaint))
    return complaints


def doors(sources):
    complaints = []
    entered = {door: set() for door in DOORS}
    for path, text in only(sources, suffixes=C_SUFFIXES + ('.cpp',)).items():
        for line, mark, header in includes_of(text):
            for door, (places, _) in DOORS.items():
                if header == door or (door.endswith('/') and header.startswith(door)):
                    if path.startswith(places):
                        entered[door].add(path)
                    elif not path.startswith('bench/'):
                        complaints.append('%s:%d: <%s> is for %s only' % (path, line, header, ', '.join(places)))
            if path.startswith('include/') and mark == '<' and not header.startswith('weft/') and header != 'weft.h':
                if header not in ('stdbool.h', 'stddef.h', 'stdint.h', 'stdio.h', 'stdarg.h'):
                    complaints.append('%s:%d: a public header needs C99 only, not <%s>' % (path, line, header))
    for door, paths in entered.items():
        if len(paths) > DOORS[door][1]:
            complaints.append('%s: %d files include <%s>, at most %d may: %s' % (
                min(paths), len(paths), door, DOORS[door][1], ', '.join(sorted(paths))))
    return complaints


def calls(text, names):
    """(line, name) of each call of one of `names`, members and declarations of that name left out."""
    code = code_of(text)
    pattern = re.compile(r'(?<![\w.])(?<!->)(%s)\s*\(' % '|'.join(names))
    return [(code.count('\n', 0, match.start()) + 1, match.group(1)) for match in pattern.finditer(code)]


def banned_calls(sources):
    complaints = []
    for path, text in only(sources).items():
        for line, name in calls(text, BANNED):
            complaints.append('%s:%d: %s: %s' % (path, line, name, BANNED[name]))
        if path.startswith(('lib/', 'server/')):
            for line, name in calls(text, BANNED_IN_THE_LIBRARY):
                complaints.append('%s:%d: %s: %s' % (path, line, name, BANNED_IN_THE_LIBRARY[name]))
            for line, name in calls(text, HEAP) if path != HEAP_DOOR else ():
                complaints.append('%s:%d: %s: memory comes from lib/base/memory.h' % (path, line, name))
    return complaints


def licence_lines(sources):
    complaints = []
    for path, text in sorted(sources.items()):
        lines = text.splitlines()[:2]
        first = lines[1:] if lines and lines[0].startswith(('#!', '<!')) and len(lines) > 1 else lines[:1]
        if not first or 'SPDX-License-Identifier: MIT' not in first[0]:
            complaints.append('%s:1: the first line names no licence' % path)
    return complaints


def lengths(sources):
    complaints = []
    for path, text in only(sources, suffixes=C_SUFFIXES + ('.S',), under=('lib/', 'server/', 'include/')).items():
        count = text.count('\n')
        if count > LINES_MAX:
            complaints.append('%s:%d: longer than %d lines: it is two files' % (path, count, LINES_MAX))
    return complaints


UNFINISHED = re.compile(r'\b(%s)\b' % '|'.join(('TO' + 'DO', 'FIX' + 'ME', 'XX' + 'X', 'HA' + 'CK')))


def tidiness(sources):
    complaints = []
    for path, text in sorted(sources.items()):
        is_ours = path.endswith(C_SUFFIXES + ('.py', '.sh', '.build')) or '.' not in os.path.basename(path)
        if text and not text.endswith('\n'):
            complaints.append('%s:%d: the last line has no end' % (path, text.count('\n') + 1))
        for number, line in enumerate(text.splitlines(), 1):
            if UNFINISHED.search(line):
                complaints.append('%s:%d: unfinished' % (path, number))
            if line != line.rstrip():
                complaints.append('%s:%d: space at the end' % (path, number))
            if is_ours and '\t' in line:
                complaints.append('%s:%d: a tab' % (path, number))
            if is_ours and len(line) > COLUMNS_MAX:
                complaints.append('%s:%d: %d columns, at most %d' % (path, number, len(line), COLUMNS_MAX))
    return complaints


DECLARATION = re.compile(r'\bWEFT_API\b([^;{]*)[;{]')


def declared_api(sources):
    """The functions that the public headers declare with WEFT_API."""
    names = set()
    for text in only(sources, suffixes=('.h',), under=('include/',)).values():
        lines = re.sub(r'\\\n', ' ', code_of(text))
        for declaration in DECLARATION.findall(re.sub(r'^[ \t]*#.*$', '', lines, flags=re.MULTILINE)):
            found = re.search(r'\b(weft_\w+)\s*\(', declaration)
            if found:
                names.add(found.group(1))
    return names


def c_blocks(text):
    """(line, code) of each ```c block of a Markdown text; a mark above it says that it stands in an example (tests/docs)."""
    blocks = re.finditer(r'(?<! -->\n)^```c\n(.*?)^```', text, re.DOTALL | re.MULTILINE)
    return [(text.count('\n', 0, block.start()) + 2, block.group(1)) for block in blocks]
