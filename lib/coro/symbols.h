/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * Names of code addresses, for reports.
 *
 *     weft_symbols *symbols = weft_symbols_open();        // NULL does no harm
 *     weft_symbols_print(symbols, out, address);          // "serve_one at server.c:120"
 *     weft_symbols_close(symbols);
 *
 * With libdw (the meson feature `libdw`) it knows all functions, static and inlined ones too, and where the program has debug
 * information, file and line. Otherwise it knows what the dynamic linker does: exported functions, else the file's name and an
 * offset in it, which addr2line understands. Opening reads /proc/self/maps, and the first address in a file that file's debug
 * information: some milliseconds, on the calling thread, and on the loop's stack, for it takes more of that than a task has.
 * Open it for one report, and close it after that.
 */
#ifndef WEFT_LIB_CORO_SYMBOLS_H
#define WEFT_LIB_CORO_SYMBOLS_H

#include <stdio.h>

typedef struct weft_symbols weft_symbols;

/* NULL if there is no libdw, or memory is out. */
weft_symbols *weft_symbols_open(void);
void weft_symbols_close(weft_symbols *symbols);

/* Prints what is known of a return address, on one line without its end: the place of the call before it. */
void weft_symbols_print(weft_symbols *symbols, FILE *out, const void *return_address);

#endif
