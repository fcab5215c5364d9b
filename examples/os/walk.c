/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* All that is in a folder, and in the folders in it. */
#include <weft.h>
#include <stdio.h>
#include <string.h>

static int list(const char *path)
{
    weft_walk *walk __attribute__((cleanup(weft_walk_drop))) = NULL;
    weft_walk_entry entry;
    int rc;
    WEFT_TRY(weft_walk_open(&walk, path));
    while ((rc = weft_walk_next(walk, &entry)) > 0) {
        printf("%s%s\n", entry.path, entry.type == WEFT_FILE_FOLDER ? "/" : "");
        if (strcmp(entry.name, "cache") == 0)
            weft_walk_skip(walk); /* not what is in it */
    }
    return rc;
}

static int make_and_list(void *unused)
{
    (void)unused;
    char folder[256];
    weft_folder *ground __attribute__((cleanup(weft_folder_drop))) = NULL;
    WEFT_TRY(weft_folder_temporary(folder, sizeof folder, NULL));
    WEFT_TRY(weft_folder_open(&ground, folder));
    WEFT_TRY(weft_folder_make("2026", .beneath = ground));
    WEFT_TRY(weft_folder_make("2026/may", .beneath = ground));
    WEFT_TRY(weft_folder_make("2026/may/cache", .beneath = ground));
    WEFT_TRY(weft_file_save("2026/may/cache/page", "", 0, .beneath = ground));
    WEFT_TRY(list(folder));
    return weft_folder_remove_tree(folder);
}

int main(void)
{
    return weft_run(make_and_list, NULL) < 0;
}
