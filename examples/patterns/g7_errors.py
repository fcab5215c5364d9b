# SPDX-License-Identifier: MIT
TEXTS = ('1', '2', 'x', '4')


def parse(text):
    if not text.isdigit():
        raise ValueError(f'"{text}" is no digit')
    return int(text)


def strict():
    for text in TEXTS:
        yield parse(text)


def lenient():
    for text in TEXTS:
        try:
            number = parse(text)
        except ValueError:
            number = -1
        yield number


def consume(generator):
    try:
        for number in generator:
            print(number)
        print('done')
    except ValueError:
        print('Invalid argument')


consume(strict())
consume(lenient())
