# SPDX-License-Identifier: MIT
import itertools
import sys

squares = (n * n for n in range(1000000))
first_ten = itertools.islice((n for n in squares if n % 10 == 6), 10)
print(sys.getsizeof(squares) + sys.getsizeof(first_ten), 'bytes in all')
for n in first_ten:
    print(n)
