/* Reads one stream from stdin and writes what the decision layer makes of it: see test_decision_c.py. */
#include <stdio.h>
#include <string.h>

#include "potstill_decision_student.h"

static int decide_all(void)
{
    int32_t values[6];
    int16_t score;
    potstill_state state;
    if (fread(values, sizeof values, 1, stdin) != 1) {
        return 1;
    }
    const potstill_settings settings = {
        .threshold_steps = (int16_t)values[0],
        .release_steps = (int16_t)values[1],
        .votes_needed = (uint8_t)values[2],
        .votes_window = (uint8_t)values[3],
        .streak = (uint8_t)values[4],
        .hold_decisions = (uint16_t)values[5],
    };
    if (!potstill_settings_valid(&settings)) {
        fputs("refused", stdout);
        return 0;
    }
    potstill_reset(&state);
    while (fread(&score, sizeof score, 1, stdin) == 1) {
        putchar('0' + (int)potstill_decide(&state, &settings, score));
    }
    return 0;
}

static int score_all(void)
{
    int8_t outputs[POTSTILL_OUTPUTS];
    while (fread(outputs, sizeof outputs, 1, stdin) == 1) {
        const int16_t score = potstill_score(outputs);
        fwrite(&score, sizeof score, 1, stdout);
    }
    return 0;
}

static int print_defaults(void)
{
    const potstill_settings *s = &potstill_default_settings;
    printf("%d %d %d %d %d %d", s->threshold_steps, s->release_steps, s->votes_needed, s->votes_window, s->streak,
           s->hold_decisions);
    return 0;
}

int main(int count, char **words)
{
    if (count == 2 && !strcmp(words[1], "decide")) {
        return decide_all();
    }
    if (count == 2 && !strcmp(words[1], "score")) {
        return score_all();
    }
    return print_defaults();
}
