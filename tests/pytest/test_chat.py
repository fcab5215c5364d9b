# SPDX-License-Identifier: MIT
"""The chat's page in a real browser: several pages at once, breaks, and a server that is killed and comes back."""

import os
import shutil
import signal
import socket
import time

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

from by_tls import BY_TLS

SLOW = float(os.environ.get('WEFT_TIME_FACTOR', '1'))
FLAGS = ('--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
         '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage', '--window-size=1000,700')
NAMES = ('Ada', 'Grace', 'Edsger')


class Page:
    """One window of the browser, in the room."""

    def __init__(self, browser, url, name):
        self.browser, self.name = browser, name
        browser.switch_to.new_window('window')
        self.handle = browser.current_window_handle
        browser.get(url + '/chat')
        self.run('document.getElementById("door-name").value = arguments[0];'
                 'document.getElementById("door-room").value = "loom";'
                 'document.getElementById("door-form").requestSubmit()', name)

    def run(self, script, *arguments):
        self.browser.switch_to.window(self.handle)
        return self.browser.execute_script(script, *arguments)

    def wait(self, what, script, *arguments):
        ends = time.monotonic() + 40 * SLOW
        while True:
            value = self.run(script, *arguments)
            if value:
                return value
            assert time.monotonic() < ends, '%s: %s; it shows %s' % (self.name, what, self.texts())
            time.sleep(0.1)

    def wait_live(self):
        self.wait('is not live', 'return document.getElementById("state").dataset.state === "live"')

    def say(self, text):
        """As somebody does it: into the field, and Enter."""
        self.run('const t = document.getElementById("text"); t.value = arguments[0];'
                 't.dispatchEvent(new Event("input", {bubbles: true}));'
                 't.dispatchEvent(new KeyboardEvent("keydown", {key: "Enter", bubbles: true, cancelable: true}))', text)

    def texts(self):
        return self.run('return [...document.querySelectorAll("#messages .said")].map((e) => e.textContent)')

    def gaps(self):
        """How often it has said that something may be missing."""
        return self.run('return document.querySelectorAll("#messages .gap").length')

    def people(self):
        return set(self.run('return [...document.querySelectorAll("#people span:not(.face)")].map((e) => e.textContent)'))

    def wait_all(self, expected):
        self.wait('has not shown all of %s' % expected,
                  'const shown = new Set([...document.querySelectorAll("#messages .said")].map((e) => e.textContent));'
                  'return arguments[0].every((text) => shown.has(text)) && !document.querySelector("li.waits")', expected)
        shown = self.texts()
        assert sorted(shown) == sorted(expected), self.name  # each once, and nothing else
        for name in NAMES:  # in order
            mine = [text for text in expected if text.startswith(name)]
            assert [text for text in shown if text.startswith(name)] == mine, self.name


@pytest.fixture(scope='module')
def browser(tmp_path_factory):
    options = Options()
    options.binary_location = shutil.which('chromium')
    insecure = ('--ignore-certificate-errors',) if BY_TLS else ()
    for flag in FLAGS + insecure + ('--user-data-dir=%s' % tmp_path_factory.mktemp('chromium'),):
        options.add_argument(flag)
    driver = webdriver.Chrome(service=Service(shutil.which('chromedriver')), options=options)
    yield driver
    driver.quit()


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def start_chat(start, port):
    server = start('chat', '--listen', '127.0.0.1:%d' % port)
    server.wait_log('listening on')
    return server


def test_a_conversation(start, browser):
    port = free_port()
    server = start_chat(start, port)
    pages = [Page(browser, server.url, name) for name in NAMES]
    for page in pages:
        page.wait_live()
        page.wait('does not see everybody', 'return document.querySelectorAll("#people li").length === 3')
        assert page.people() == set(NAMES)

    said = []
    for n in range(1, 6):
        for page in pages:
            said.append('%s says %d <b>&"\\' % (page.name, n))
            page.say(said[-1])
    for page in pages:
        page.wait_all(said)

    # what is being written is told to the others
    pages[0].run('const t = document.getElementById("text"); t.value = "hm";'
                 't.dispatchEvent(new Event("input", {bubbles: true}))')
    pages[1].wait('does not see who types', 'return document.getElementById("typing").textContent === "Ada is typing"')
    assert pages[0].run('return document.getElementById("typing").textContent') == ''

    # a broken connection goes on where it was
    pages[2].run('socket.close()')
    for page in pages:
        said.append('%s after the break' % page.name)
        page.say(said[-1])
    for page in pages:
        page.wait_all(said)
        assert page.gaps() == 0  # nothing was missing

    # the server is killed; what is said meanwhile waits
    server.send(signal.SIGKILL)
    server.wait()
    for page in pages:
        page.wait('does not notice', 'return document.getElementById("state").dataset.state !== "live"')
        said.append('%s while it was down' % page.name)
        page.say(said[-1])
    server = start_chat(start, port)
    for page in pages:
        page.wait_live()
    for page in pages:
        said.append('%s when it was back' % page.name)
        page.say(said[-1])
    for page in pages:
        page.wait_all(said)
        assert page.gaps() == 1  # what others may have said just before is forgotten: that is not kept quiet

    # who comes later is given what was said since the restart
    late = Page(browser, server.url, 'Barbara')
    late.wait_live()
    late.wait_all(said[-6:])

    # an orderly stop: the sockets are closed, and the server ends at once
    assert server.stop() == 0
    wrong = [entry['message'] for entry in browser.get_log('browser') if 'Error: ' in entry['message']]
    assert not [text for text in wrong if 'WebSocket' not in text], wrong
