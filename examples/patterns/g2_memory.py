# SPDX-License-Identifier: MIT
import sys

COUNT = 1000000


def numbers():
    for i in range(COUNT):
        yield i


size = sys.getsizeof([i for i in range(COUNT)])
generator = numbers()
most = sys.getsizeof(generator)
print(f'a list of {COUNT} numbers: {size} bytes')
print(f'a generator of them: {most} bytes')
print('the same sum:', 'yes' if sum(generator) == sum(range(COUNT)) else 'no')
print('500 times less, at least:', 'yes' if size / most >= 500 else 'no')
