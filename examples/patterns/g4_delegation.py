# SPDX-License-Identifier: MIT
def inner():
    yield from ('one', 'two', 'three')


def outer():
    yield 'Start'
    yield from inner()
    yield 'End'


for word in outer():
    print(word)
