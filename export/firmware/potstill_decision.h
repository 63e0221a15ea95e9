/* The decision of a device: votes, streak, hold time and hysteresis over a student's scores, in integers. */
#ifndef POTSTILL_DECISION_H
#define POTSTILL_DECISION_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* As release_steps: no hysteresis, an alarm ends with its hold time. */
#define POTSTILL_NO_RELEASE INT16_MAX
/* Scores reach 255 steps either way; a threshold of 256 is never reached. */
#define POTSTILL_UNREACHABLE_STEPS 256
#define POTSTILL_MOST_VOTES 32

typedef enum {
    POTSTILL_IDLE = 0,
    POTSTILL_ALARM = 1,  /* raised by this decision */
    POTSTILL_ACTIVE = 2, /* raised earlier, and lasts */
} potstill_event;

/* A decision votes for the event where its score is at least threshold_steps. An alarm is raised where votes_needed of
 * the last votes_window decisions voted for it, the last streak of them all. It lasts hold_decisions, its own included,
 * in which no other is raised, and, with hysteresis, until a score falls below release_steps. */
typedef struct {
    int16_t threshold_steps;
    int16_t release_steps;
    uint16_t hold_decisions;
    uint8_t votes_needed;
    uint8_t votes_window;
    uint8_t streak;
} potstill_settings;

typedef struct {
    uint32_t votes;
    uint16_t held_decisions;
    bool active;
} potstill_state;

/* Whether settings mean something: 1 <= votes_needed, streak <= votes_window <= hold_decisions; votes_window at most 32;
 * release_steps <= threshold_steps, both within +-256, or POTSTILL_NO_RELEASE. */
bool potstill_settings_valid(const potstill_settings *settings);

/* Forget what was heard: at start-up, and when settings change. */
void potstill_reset(potstill_state *state);

/* One decision. Settings must be valid. */
potstill_event potstill_decide(potstill_state *state, const potstill_settings *settings, int16_t score_steps);

/* Log-odds, rounded down to steps, of the outputs whose bit is set in event_bits (output i: bit i % 8 of byte i / 8)
 * against all others. exponentials[256] are exp(-step * scale) in units of 2^-26; at most 2047 outputs. */
int16_t potstill_log_odds(const int8_t *outputs, uint16_t count, const uint8_t *event_bits,
                          const uint32_t *exponentials);

#ifdef __cplusplus
}
#endif
#endif
