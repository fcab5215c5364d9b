/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/* A two-way generator: prompts come out, answers are sent in. */
#include <weft.h>
#include <stdio.h>

struct line {
    char text[80];
};

static int interview(weft_generator *g, void *unused)
{
    (void)unused;
    struct line prompt = { "What is your name?" }, name, place;
    WEFT_TRY(weft_generator_yield_receive(g, &prompt, &name));
    snprintf(prompt.text, sizeof prompt.text, "Hello, %.20s! Where do you live?", name.text);
    WEFT_TRY(weft_generator_yield_receive(g, &prompt, &place));
    snprintf(prompt.text, sizeof prompt.text, "%.20s from %.20s, goodbye.", name.text, place.text);
    return weft_generator_yield(g, &prompt);
}

static int answer(void *unused)
{
    (void)unused;
    static const struct line answers[] = { { "Ada" }, { "London" } };
    struct line prompt;
    weft_generator *g = weft_generator_new(struct line, interview, NULL);
    int rc = weft_generator_next(g, &prompt);
    for (int i = 0; rc > 0 && i < 2; i++) {
        printf("%s\n> %s\n", prompt.text, answers[i].text);
        rc = weft_generator_send(g, &answers[i], &prompt);
    }
    if (rc > 0)
        puts(prompt.text);
    weft_generator_close(g);
    return rc;
}

int main(void)
{
    return weft_run(answer, NULL) < 0;
}
