# SPDX-License-Identifier: MIT
"""Runs pytest and reports in TAP, so that meson and scripts/count see single cases.

Usage: tap_pytest.py [pytest's arguments: files, -k, -m ...]

Only plugins of Debian's own pytest are used, and nothing is written beside the sources. No test at all is a failure.
"""

import os
import sys

os.environ['PYTEST_DISABLE_PLUGIN_AUTOLOAD'] = '1'
sys.dont_write_bytecode = True

import pytest  # noqa: E402  (after the environment that it reads)


class Tap:
    """A plugin that prints a TAP line for each case, and its report as comments where it failed."""

    def __init__(self, out):
        self.out = out
        self.count = 0

    def pytest_addoption(self, parser):
        # The terminal's plugin, which is off, brings this one; the assertions' plugin asks for it.
        parser.addoption('--verbose', dest='verbose', type=int, default=1)

    def line(self, ok, name, directive='', details=''):
        self.count += 1
        print('%s %d - %s%s' % ('ok' if ok else 'not ok', self.count, name.replace('#', '_'), directive), file=self.out)
        for line in details.splitlines():
            print('# ' + line, file=self.out)
        self.out.flush()

    def pytest_runtest_logreport(self, report):
        name = report.nodeid.split('/')[-1]
        if report.when == 'call' and report.passed:
            self.line(True, name)
        elif report.skipped and not hasattr(report, 'wasxfail'):
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            self.line(True, name, ' # SKIP ' + ' '.join(reason.split()))
        elif report.failed or report.when == 'call':
            where = '' if report.when == 'call' else ' (%s)' % report.when
            self.line(False, name + where, details=self.text_of(report))

    def pytest_collectreport(self, report):
        if report.failed:
            self.line(False, 'collecting ' + report.nodeid, details=self.text_of(report))

    def pytest_internalerror(self, excrepr):
        self.line(False, 'pytest itself', details=str(excrepr))

    @staticmethod
    def text_of(report):
        """What went wrong, in one line, before all of it: who shows the beginning only shows that."""
        message = getattr(getattr(report.longrepr, 'reprcrash', None), 'message', '')
        where = [message.splitlines()[0]] if message else []
        sections = ['---- %s\n%s' % (name, text) for name, text in report.sections]
        return '\n'.join(where + [getattr(report, 'longreprtext', '') or 'expected to fail, and did not'] + sections)


def main(arguments):
    tap = Tap(sys.stdout)
    quiet = ['-p', 'no:cacheprovider', '-p', 'no:terminal', '-p', 'no:faulthandler']
    status = pytest.main(quiet + arguments, plugins=[tap])
    if tap.count == 0:
        tap.line(False, 'no test was collected (pytest ended with %d)' % status)
        status = 1
    print('1..%d' % tap.count)
    return int(status)


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
