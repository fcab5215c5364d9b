/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Settings that are read again when their file has been replaced. */
#include <weft.h>
#include <stdio.h>
#include <string.h>

static int follow_settings(const char *folder, int times)
{
    weft_watch *watch __attribute__((cleanup(weft_watch_drop))) = NULL;
    weft_watch_event event;
    int rc;
    WEFT_TRY(weft_watch_open(&watch));
    WEFT_TRY(weft_watch_add(watch, folder, NULL));
    while (times > 0 && (rc = weft_watch_next(watch, &event)) > 0) {
        bool is_lost = event.what & WEFT_WATCH_LOST; /* there were too many: look in any case */
        bool is_ours = (event.what & (WEFT_WATCH_MADE | WEFT_WATCH_WRITTEN)) && strcmp(event.name, "settings") == 0;
        if (!is_lost && !is_ours)
            continue;
        printf("settings have changed\n");
        times--;
    }
    return times > 0 ? rc : 0;
}

static int change_settings(void *path)
{
    for (int i = 0; i < 2; i++) {
        WEFT_TRY(weft_sleep(20 * WEFT_MILLISECOND));
        WEFT_TRY(weft_file_save(path, "colour = blue\n", 14));
    }
    return 0;
}

static int follow(void *unused)
{
    (void)unused;
    char folder[256], path[300];
    WEFT_TRY(weft_folder_temporary(folder, sizeof folder, NULL));
    snprintf(path, sizeof path, "%s/settings", folder);
    WEFT_GROUP (g) {
        weft_go(&g, change_settings, path);
        WEFT_TRY(follow_settings(folder, 2));
    }
    WEFT_TRY(g.result);
    return weft_folder_remove_tree(folder);
}

int main(void)
{
    return weft_run(follow, NULL) < 0;
}
