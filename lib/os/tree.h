/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Trees of folders, for threads. */
#ifndef WEFT_LIB_OS_TREE_H
#define WEFT_LIB_OS_TREE_H

enum { WEFT_TREE_DEPTH = 200 /* folders open within each other, each with a descriptor */ };

/* Removes what is called `name` in the folder `parent`, and all in it, following no link. 0 or the first -errno; -ECANCELED
 * once the job is to be cut short. */
int weft_tree_remove(int parent, const char *name);

#endif
