# SPDX-License-Identifier: MIT
# Copyright (c) the Weft authors
"""Weft's tasks in gdb, of a live process or of a core file:

    gdb -x scripts/weft-gdb.py -p PID            or: gdb -x scripts/weft-gdb.py PROGRAM CORE

    weft tasks      all tasks of all loops: number, state, name, age, where started, what it waits for
    weft bt N       the stack of task N, with that of who steps the generator in which it stands
    weft bt all     those of all tasks
    weft select N   makes gdb believe that the loop's thread stands where task N does, for `bt`, `frame`, `info locals`;
                    `weft select none` undoes it

The library needs its debug information (not stripped, or with the package of it installed).

How a parked stack is walked: an unwinder says of the thread's innermost frame, and of that alone, that it was called where
the task was left, with the registers that the switch has saved there. So nothing of the process is changed, and core files
will do.
"""

import re
import time

import gdb
from gdb.unwinder import Unwinder, register_unwinder

# A saved stack, from its stack pointer up (lib/coro/switch_*.S), and its size.
SAVED = {
    'i386:x86-64': (('r15', 'r14', 'r13', 'r12', 'rbx', 'rbp', 'rip'), 56),
    'aarch64': (tuple('x%d' % n for n in range(19, 31)), 160),
}
# What ucontext saves of the same: the registers' places in an array of the C library's.
GREGS = {'r12': 4, 'r13': 5, 'r14': 6, 'r15': 7, 'rbp': 10, 'rbx': 11, 'rsp': 15, 'rip': 16}


class Problem(gdb.GdbError):
    """Told to the user in one line."""


def need(value, words):
    if value is None:
        raise Problem(words)
    return value


def type_of(name):
    try:
        return gdb.lookup_type(name)
    except gdb.error:
        raise Problem('there is no debug information of Weft (no %s): is it stripped, or not loaded?' % name) from None


def each_of(head, type_name, member):
    """The objects of a weft_list."""
    kind = type_of(type_name)
    offset = next(field.bitpos // 8 for field in kind.fields() if field.name == member)
    node = head['next']
    while int(node) != int(head.address):
        yield (node.cast(gdb.lookup_type('char').pointer()) - offset).cast(kind.pointer()).dereference()
        node = node['next']


def loops():
    """(thread, loop) of each thread that has one. The selected thread and frame stay what they are."""
    before = need(gdb.selected_thread(), 'there is no process, and no core file')
    frame = gdb.selected_frame()
    try:
        for thread in sorted(gdb.selected_inferior().threads(), key=lambda thread: thread.num):
            thread.switch()
            try:
                here = gdb.parse_and_eval('weft_here')
            except gdb.error as error:
                raise Problem('the loops cannot be found: %s' % error) from None
            if int(here) != 0:
                yield thread, here.dereference()
    finally:
        before.switch()
        frame.select()


def text(pointer):
    return pointer.string(errors='replace') if int(pointer) != 0 else ''


def place_of(address):
    """"function (file:line)" of a return address."""
    before = int(address) - 1
    block = gdb.block_for_pc(before)
    while block and not block.function:
        block = block.superblock
    line = gdb.find_pc_line(before)
    if not block or not line.symtab:
        return '%#x' % int(address)
    return '%s (%s:%d)' % (block.function.name, line.symtab.filename.rsplit('/', 1)[-1], line.line)


class Task:
    """A task as it stands in memory."""

    def __init__(self, number, thread, loop, value):
        self.number, self.thread, self.loop, self.value = number, thread, loop, value
        self.state = ['new', 'ready', 'running', 'parked', 'done'][int(value['state'])]
        self.name = ' '.join(word for word in (text(value['name']), text(value['label'])) if word)

    def age(self):
        """In seconds; of a core file, when its loop last looked at the clock."""
        now = int(self.loop['now'])
        test = self.loop['test']
        is_virtual = int(test) != 0 and bool(test['is_virtual'])
        if not is_virtual and gdb.selected_inferior().connection.type == 'native':
            now = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        return (now - int(self.value['started'])) / 1e9

    def waits_for(self):
        wait = self.value['wait']
        if int(wait) == 0:
            return ''
        on = int(wait['on'])
        return ', waits for: %s%s, from %s' % (text(wait['what']), ' (%#x)' % on if on else '', place_of(wait['place']))

    def line(self):
        return '%3d  %-8s %s, %.3f s old, started at %s:%d%s' % (
            self.number, self.state, self.name, self.age(), text(self.value['file']), int(self.value['line']), self.waits_for())

    def stacks(self):
        """(words, saved) of the stack it stands on and of those that step it, the innermost first."""
        yield '', self.value['coro']['sp']
        nested = self.value['nested']
        while int(nested) != 0:
            yield 'in the generator %s, which is stepped by' % text(nested['name']), nested['coro']['sp']
            nested = nested['outer']


def tasks():
    number = 0
    for thread, loop in loops():
        for value in each_of(loop['tasks'], 'struct weft_task', 'all'):
            number += 1
            yield Task(number, thread, loop, value)


def find_task(words):
    if not re.fullmatch(r'[0-9]+', words):
        raise Problem('which task? Their numbers are those of `weft tasks`')
    return need(next((task for task in tasks() if task.number == int(words)), None), 'there is no task %s' % words)


# ---- stacks ----


def saved_registers(saved, architecture):
    """What the switch has saved, by name, with the stack pointer and the program counter."""
    word = gdb.lookup_type('unsigned long')
    if architecture not in SAVED:
        raise Problem('stacks of %s cannot be walked' % architecture)
    names, size = SAVED[architecture]
    if not has_assembly():
        return ucontext_registers(saved, architecture)
    words = saved.cast(word.pointer())
    registers = {name: words[index] for index, name in enumerate(names)}
    stack = (saved.cast(word) + size).cast(word)
    if architecture == 'aarch64':
        return {**registers, 'sp': stack, 'pc': registers['x30']}
    return {**registers, 'rsp': stack}


def has_assembly():
    """Is the switch in assembly? Then a new stack begins at a label that only that has."""
    try:
        gdb.parse_and_eval('(long)&weft_switch_started_')
    except gdb.error:
        return False
    return True


def ucontext_registers(saved, architecture):
    word = gdb.lookup_type('unsigned long')
    machine = saved.cast(type_of('ucontext_t').pointer())['uc_mcontext']
    if architecture == 'aarch64':
        registers = {name: machine['regs'][int(name[1:])].cast(word) for name in SAVED[architecture][0]}
        return {**registers, 'sp': machine['sp'].cast(word), 'pc': machine['pc'].cast(word)}
    return {name: machine['gregs'][index].cast(word) for name, index in GREGS.items()}


class FrameId:
    """By which gdb knows a frame."""

    def __init__(self, sp, pc):
        self.sp, self.pc = sp, pc


class ParkedUnwinder(Unwinder):
    """While it has a target: the caller of the innermost frame of one thread."""

    def __init__(self):
        super().__init__('weft')
        self.target = None  # (thread, registers)

    def stand(self, thread, saved):
        self.target = None
        gdb.invalidate_cached_frames()
        thread.switch()
        frame = gdb.newest_frame()
        registers = saved_registers(saved, frame.architecture().name())
        stack = registers.get('rsp', registers.get('sp'))
        self.target = (thread.ptid, registers, int(frame.read_register('pc')), int(frame.read_register('sp')), stack)
        gdb.invalidate_cached_frames()

    def leave(self):
        self.target = None
        gdb.invalidate_cached_frames()

    def __call__(self, pending):
        if self.target is None:
            return None
        ptid, registers, pc, sp, stack = self.target
        if gdb.selected_thread().ptid != ptid or int(pending.read_register('pc')) != pc or int(
                pending.read_register('sp')) != sp:  # fmt: skip
            return None
        # As if it were below the parked stack: gdb ends a walk whose frames do not go up.
        info = pending.create_unwind_info(FrameId(stack, pending.read_register('pc')))
        for name, value in registers.items():
            info.add_saved_register(name, value)
        return info


UNWINDER = ParkedUnwinder()
register_unwinder(None, UNWINDER, replace=True)


def frames_below(trace):
    """A trace of gdb's without its innermost frame, numbered anew."""
    lines, number = [], -1
    for line in trace.splitlines():
        if re.match(r'#\d+ ', line):
            number += 1
            line = re.sub(r'^#\d+ +', '#%-3d' % (number - 1), line)
        if number > 0:
            lines.append(line)
    return lines


def entry_of(saved):
    """The function at which a stack begins that has not been entered; None if it has been."""
    if not has_assembly():
        entry = saved.cast(type_of('struct context').pointer())['entry']
        return entry if int(entry) != 0 else None
    word = gdb.lookup_type('unsigned long')
    names, _ = SAVED[gdb.selected_frame().architecture().name()]
    words = saved.cast(word.pointer())
    start = int(gdb.parse_and_eval('(unsigned long)&weft_switch_start_'))
    resume, entry = ('x30', 'x19') if 'x30' in names else ('rip', 'r12')
    return words[names.index(entry)] if int(words[names.index(resume)]) == start else None


def trace_of(task, saved):
    """The lines of the trace of one stack."""
    entry = entry_of(saved)
    if entry is not None:
        return ['     has not begun: it will at %s' % place_of(int(entry) + 1)]
    before, frame = gdb.selected_thread(), gdb.selected_frame()
    UNWINDER.stand(task.thread, saved)
    try:
        return frames_below(gdb.execute('backtrace', to_string=True))
    finally:
        UNWINDER.leave()
        before.switch()
        gdb.newest_frame().select()


def trace_of_running(task):
    before = gdb.selected_thread()
    task.thread.switch()
    try:
        return gdb.execute('backtrace', to_string=True).splitlines()
    finally:
        before.switch()


def print_trace(task):
    print(task.line())
    if task.state == 'running':
        print('\n'.join(trace_of_running(task)))
        return
    for words, saved in task.stacks():
        if words:
            print('     ' + words)
        print('\n'.join(trace_of(task, saved)))


# ---- commands ----


class WeftCommand(gdb.Command):
    """Weft's tasks: weft tasks, weft bt N|all, weft select N|none."""

    def __init__(self):
        super().__init__('weft', gdb.COMMAND_STACK, gdb.COMPLETE_NONE, True)


class Command(gdb.Command):
    """What the commands share: memory that makes no sense is told in a line."""

    def __init__(self, name):
        super().__init__(name, gdb.COMMAND_STACK)

    def invoke(self, words, from_tty):
        try:
            self.do(words.strip())
        except (gdb.MemoryError, OverflowError) as error:
            raise Problem('what is read there makes no sense (%s). In a core file of generate-core-file most stacks are '
                          'missing: take one that the kernel has written' % error) from None  # fmt: skip


class TasksCommand(Command):
    """weft tasks: all tasks of all loops: number, state, name, age, where started, what it waits for."""

    def do(self, words):
        found = list(tasks())
        for task in found:
            print(task.line())
        if not found:
            print('There is no task.')


class BacktraceCommand(Command):
    """weft bt N, weft bt all: the stack of a task, or of all, the innermost frame first."""

    def do(self, words):
        for task in list(tasks()) if words == 'all' else [find_task(words)]:
            print_trace(task)


class SelectCommand(Command):
    """weft select N: gdb shows the loop's thread as if it stood where task N does; weft select none: as it is."""

    def do(self, words):
        UNWINDER.leave()
        if words == 'none':
            return
        task = find_task(words)
        saved = task.value['coro']['sp']
        if task.state == 'running':
            task.thread.switch()
            return
        if entry_of(saved) is not None:
            raise Problem('task %d has not begun: it has no frame' % task.number)
        UNWINDER.stand(task.thread, saved)
        need(gdb.newest_frame().older(), 'its stack cannot be walked').select()
        gdb.execute('frame')


WeftCommand()
TasksCommand('weft tasks')
BacktraceCommand('weft bt')
SelectCommand('weft select')
