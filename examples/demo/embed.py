#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes a file as C: the array NAME and its size NAME_size. embed.py NAME FILE > OUT.c"""
import sys

name, path = sys.argv[1], sys.argv[2]
print("/* Made from %s; do not edit. */" % path.rsplit("/", 1)[-1])
print("#include <stddef.h>\n\nextern const char %s[];\nextern const size_t %s_size;\n" % (name, name))
print("const char %s[] =" % name)
with open(path, encoding="utf-8") as file:
    for line in file:
        text = line.rstrip("\n").replace("\\", "\\\\").replace('"', '\\"')
        print('    "%s\\n"' % text)
print("    ;\nconst size_t %s_size = sizeof %s - 1;" % (name, name))
