# SPDX-License-Identifier: MIT
def numbers():
    print('the body begins')
    for i in range(1, 4):
        yield i
    print('the body ends')


generator = numbers()
print('made')
while True:
    try:
        print(next(generator))
    except StopIteration:
        print('done')
        break
