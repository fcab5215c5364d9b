/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Paths of strangers: they lead to where they should, or nowhere. */
#include <weft.h>
#include <stdio.h>
#include <unistd.h>

static int show(weft_folder *site, const char *path)
{
    weft_bytes page __attribute__((cleanup(weft_bytes_drop))) = { 0 };
    int rc = weft_file_load(path, 64 * 1024, &page, .beneath = site);
    printf("%-14s %s\n", path, rc < 0 ? weft_strerror(rc) : page.data);
    return 0;
}

static int serve(void *unused)
{
    (void)unused;
    char folder[256], secret[300], site_path[300], link[320];
    weft_folder *site __attribute__((cleanup(weft_folder_drop))) = NULL;
    WEFT_TRY(weft_folder_temporary(folder, sizeof folder, NULL));
    snprintf(secret, sizeof secret, "%s/secret", folder);
    snprintf(site_path, sizeof site_path, "%s/site", folder);
    snprintf(link, sizeof link, "%s/link", site_path);
    WEFT_TRY(weft_file_save(secret, "secret", 6));
    WEFT_TRY(weft_folder_make(site_path));
    WEFT_TRY(weft_folder_open(&site, site_path));
    WEFT_TRY(weft_file_save("index", "welcome", 7, .beneath = site));
    if (symlink("../secret", link) < 0)
        return -1;

    WEFT_TRY(show(site, "index"));
    WEFT_TRY(show(site, "nothing"));
    WEFT_TRY(show(site, "../secret"));
    WEFT_TRY(show(site, "/etc/passwd"));
    WEFT_TRY(show(site, "link"));
    return weft_folder_remove_tree(folder);
}

int main(void)
{
    return weft_run(serve, NULL) < 0;
}
