/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* Child processes: one run whole, one talked with line by line, one that is too slow. Each has ended, and been reaped, at the
 * end. */
#include <weft.h>
#include <stdio.h>

static int run_whole(void)
{
    static const char words[] = "pear\napple\npear\nfig\n";
    weft_process_result done __attribute__((cleanup(weft_process_result_drop))) = { 0 };
    WEFT_TRY(weft_process_run(&done, WEFT_ARGV("sort", "-u"), .input = { words, sizeof words - 1 }));
    printf("sort: status %d\n%s", done.status.code, done.output.data);
    return 0;
}

static int talk(void)
{
    static const char *const names[] = { "Ann\n", "Bob\n" };
    weft_process *p __attribute__((cleanup(weft_process_drop))) = NULL;
    weft_process_status status;
    weft_bytes line;
    int rc;
    WEFT_TRY(weft_process_open(&p, WEFT_ARGV("sh", "-c", "while read name; do echo Hello, $name; done; exit 3"),
                               .input = WEFT_IO_PIPE, .output = WEFT_IO_PIPE));
    for (int i = 0; i < 2; i++) {
        WEFT_TRY(weft_stream_write(weft_process_input(p), names[i], 4));
        WEFT_TRY(weft_stream_line(weft_process_output(p), &line, 0));
        printf("it says: %s\n", line.data);
    }
    weft_process_end_input(p);
    while ((rc = weft_stream_line(weft_process_output(p), &line, 0)) > 0)
        printf("and then: %s\n", line.data);
    WEFT_TRY(rc);
    WEFT_TRY(weft_process_wait(p, &status));
    printf("it ended with status %d\n", status.code);
    return 0;
}

static int run_too_long(void)
{
    weft_process_result done;
    int rc = weft_process_run(&done, WEFT_ARGV("sleep", "60"), .timeout = 100 * WEFT_MILLISECOND);
    printf("sleep: %s\n", weft_strerror(rc)); /* and it has been ended */
    return rc == WEFT_EDEADLINE ? 0 : rc;
}

static int use_processes(void *unused)
{
    (void)unused;
    WEFT_TRY(run_whole());
    WEFT_TRY(talk());
    return run_too_long();
}

int main(void)
{
    return weft_run(use_processes, NULL) < 0;
}
