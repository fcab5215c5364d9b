# SPDX-License-Identifier: MIT
"""Reads the documents: fenced blocks with the mark above them, headings, links, and names in back quotes.

A mark is an HTML comment in the line above a block; readers do not see it. It says what the block must agree with:

    <!-- from FILE -->              C, or Python, that stands in FILE, word for word, in whole lines; "…" is for lines left out
    <!-- output of PROGRAM ... -->  what build/PROGRAM prints with these arguments (", SIGSEGV" at the end: dying of it)
    <!-- like FILE -->              what FILE of tests/patterns expects, with numbers in it
    <!-- serve PROGRAM ... -->      a session with curl; PROGRAM serves all such blocks of the document, in their order
    <!-- report of PROGRAM -->      the last line of a server's log, whatever its numbers
"""

import collections
import re

Block = collections.namedtuple('Block', 'line kind mark text')

FENCE = re.compile(r'^```(\w*)\n(.*?)^```$', re.DOTALL | re.MULTILINE)
MARK = re.compile(r'<!-- (.*) -->$')


def blocks(text):
    found = []
    for match in FENCE.finditer(text):
        before = text[:match.start()].splitlines()
        mark = MARK.match(before[-1]) if before else None
        found.append(Block(len(before) + 1, match.group(1), mark.group(1) if mark else None, match.group(2)))
    return found


def prose(text):
    """The text without its blocks, as many lines as before."""
    return FENCE.sub(lambda match: '\n' * match.group(0).count('\n'), text)


def slug(heading):
    """What a heading is called in a link, as GitHub makes it."""
    return re.sub(r'[^\w\- ]', '', heading.strip().lower()).replace(' ', '-')


def headings(text):
    return {slug(match.group(1)) for match in re.finditer(r'^#+ (.*)$', prose(text), re.MULTILINE)}


def links(text):
    return [match.group(1) for match in re.finditer(r'\]\(([^)\s]+)\)', prose(text))]


def quoted(text):
    return re.findall(r'`([^`\n]+)`', prose(text))


def stands_in(text, source):
    """Does the text stand in the source in whole lines, its pieces between lines of "…" in their order?"""
    source = '\n' + source
    at = 0
    for piece in re.split('^[ ]*…\n', text, flags=re.MULTILINE):
        found = source.find('\n' + piece, at)
        if found < 0:
            return False
        at = found + len(piece)
    return True


def even(text):
    """The text without what differs from run to run: times, folders of source files, space at the end."""
    text = re.sub(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z', 'TIME', text)
    text = re.sub(r'^Date: .*$', 'Date: TIME', text, flags=re.MULTILINE)
    text = re.sub(r'[\w./-]*/(\w+\.[ch]:\d+)', r'\1', text)
    return text.replace('\r', '').rstrip()


def commands(session):
    """(command, what it prints) of a session whose commands begin with "$ "."""
    found = []
    for line in session.splitlines(keepends=True):
        if line.startswith('$ '):
            found.append([line[2:].strip(), ''])
        else:
            assert found, 'the session does not begin with a command: ' + line
            found[-1][1] += line
    return [tuple(each) for each in found]


def table(text, heading):
    """The rows of the first table below a heading, as lists of cells; its head and the line under that left out."""
    section = re.split(r'^#+ ', prose(text).split('# ' + heading + '\n', 1)[1], maxsplit=1, flags=re.MULTILINE)[0]
    rows = [line for line in section.splitlines() if line.startswith('|')][2:]
    return [[cell.strip() for cell in row.strip('|').split(' | ')] for row in rows]


def misuse_messages(sources):
    """A pattern for each message that the sources give to weft_misuse and weft_misuse_die."""
    found = []
    for text in sources:
        for match in re.finditer(r'weft_misuse(?:_die)?\(\s*"((?:\\.|[^"\\])*)"', text):
            found.append(re.compile('.+'.join(re.escape(part) for part in match.group(1).split('%s'))))
    return found
