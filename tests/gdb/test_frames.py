# SPDX-License-Identifier: MIT
"""What the assembly of the switch says of its frames (CFI), looked at from each of its instructions."""

import re

from run_gdb import STANDING, gdb

# Steps the first thread through a function an instruction at a time, and prints the names of all frames at each, without
# those that are inlined.
STEP = '''python
def names():
    frame, found = gdb.newest_frame(), []
    while frame:
        if frame.type() != gdb.INLINE_FRAME:
            found.append(frame.name() or '?')
        frame = frame.older()
    return found
for hit in range(%d):
    gdb.execute('continue', to_string=True)
    while gdb.newest_frame().name() == '%s':
        print('at', gdb.newest_frame().pc(), ' '.join(names()))
        gdb.execute('stepi', to_string=True)
    print('out', gdb.newest_frame().pc(), ' '.join(names()))
end'''


def step_through(function, times, tmp_path):
    """For each time, the list of chains (the callers' names, the innermost first) at its instructions, and the last outside."""
    script = tmp_path / 'step.gdb'
    script.write_text(STEP % (times, function))
    output = gdb(['set scheduler-locking step', 'tbreak main', 'run', 'break *%s thread 1' % function, 'source %s' % script],
                 STANDING)  # fmt: skip
    found, chains = [], []
    for mark, names in re.findall(r'^(at|out) \d+ (.*)$', output, re.MULTILINE):
        chains.append(names.split())
        if mark == 'out':
            found.append(chains)
            chains = []
    assert len(found) == times, output
    return found


ENDS = ('main', '_start', '__libc_start_main', '__libc_start_call_main', 'clone3', '__clone3', 'weft_switch_start_',
        'weft_switch_not_begun_')  # fmt: skip


def ends_well(chain):
    return chain[-1] in ENDS and '?' not in chain


def test_every_instruction_of_the_switch_knows_its_callers(tmp_path):
    for chains in step_through('weft_switch_', 6, tmp_path):
        *inside, after = chains
        assert len(inside) >= 17 and all(ends_well(chain) for chain in chains), chains
        callers = [chain[1:] for chain in inside]
        changes = [n for n in range(1, len(callers)) if callers[n] != callers[n - 1]]
        assert len(changes) == 1, chains  # where the stack pointer is
        if after[0] != 'weft_switch_start_':
            assert after == callers[-1], chains  # it goes on where the last instruction said
        else:
            assert len(after) == 1


def test_a_new_stack_ends_where_it_begins(tmp_path):
    for chains in step_through('weft_switch_start_', 2, tmp_path):
        assert all(chain == ['weft_switch_start_'] for chain in chains[:-1])
        assert chains[-1][1:] == ['weft_switch_start_']
