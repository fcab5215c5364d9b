#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes a file as a C array of characters: embed.py NAME FILE > OUT.h"""
import sys

name, path = sys.argv[1], sys.argv[2]
print("/* Made from %s; do not edit. */" % path.rsplit("/", 1)[-1])
print("static const char %s[] =" % name)
with open(path, encoding="utf-8") as file:
    for line in file:
        text = line.rstrip("\n").replace("\\", "\\\\").replace('"', '\\"')
        print('    "%s\\n"' % text)
print("    ;")
