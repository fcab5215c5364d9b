/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The one input cursor of a connection: the bytes that have come and were not consumed yet.
 *
 * They lie either in the loop's read buffer, borrowed until control returns to the loop, or in a store of the connection's own.
 * Head, body and upgrade all consume from here and nowhere else. Before control returns to the loop a borrowed remainder is
 * moved to the store (weft_input_keep), because the next read, of any connection, overwrites the buffer.
 */
#ifndef WEFT_SERVER_INPUT_H
#define WEFT_SERVER_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct weft_input {
    char *at;
    size_t size;   /* unread bytes from `at` on */
    char *store;   /* NULL while nothing is kept */
    uint32_t room; /* of the store */
    bool is_borrowed;
} weft_input;

/* More bytes have come: borrowed if nothing is left unread, else appended to the store. False when memory is out. */
bool weft_input_add(weft_input *input, char *data, size_t size);

/* Moves a borrowed remainder to the store; gives an empty store back. False when memory is out: the remainder is lost, and
 * the connection with it. */
bool weft_input_keep(weft_input *input);

void weft_input_consume(weft_input *input, size_t size);

/* Forgets and gives back everything. */
void weft_input_free(weft_input *input);

#endif
