/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* What each unit test begins with: cmocka, and the headers that it wants before it. */
#ifndef WEFT_TESTS_UNIT_H
#define WEFT_TESTS_UNIT_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A string literal with its size, for texts that hold NUL. */
#define TEXT(literal) (literal), sizeof(literal) - 1

#endif
