#include "potstill_decision.h"

#define EXPONENT_BITS 26
#define SCORE_LIMIT_STEPS 255

static uint32_t lowest_bits(uint8_t count)
{
    return count >= POTSTILL_MOST_VOTES ? UINT32_MAX : ((uint32_t)1 << count) - 1;
}

static uint8_t bit_count(uint32_t bits)
{
    uint8_t count = 0;
    for (; bits; bits &= bits - 1) {
        count++;
    }
    return count;
}

static bool within_limits(int16_t steps)
{
    return steps >= -POTSTILL_UNREACHABLE_STEPS && steps <= POTSTILL_UNREACHABLE_STEPS;
}

bool potstill_settings_valid(const potstill_settings *settings)
{
    const bool released = settings->release_steps == POTSTILL_NO_RELEASE ||
                          (within_limits(settings->release_steps) &&
                           settings->release_steps <= settings->threshold_steps);
    return within_limits(settings->threshold_steps) && released && settings->votes_window >= 1 &&
           settings->votes_window <= POTSTILL_MOST_VOTES && settings->votes_needed >= 1 &&
           settings->votes_needed <= settings->votes_window && settings->streak >= 1 &&
           settings->streak <= settings->votes_window && settings->hold_decisions >= settings->votes_window;
}

void potstill_reset(potstill_state *state)
{
    state->votes = 0;
    state->held_decisions = 0;
    state->active = false;
}

static bool raised(uint32_t votes, const potstill_settings *settings)
{
    const uint32_t streak = lowest_bits(settings->streak);
    return (votes & streak) == streak && bit_count(votes & lowest_bits(settings->votes_window)) >= settings->votes_needed;
}

potstill_event potstill_decide(potstill_state *state, const potstill_settings *settings, int16_t score_steps)
{
    const bool hysteresis = settings->release_steps != POTSTILL_NO_RELEASE;
    state->votes = state->votes << 1 | (uint32_t)(score_steps >= settings->threshold_steps);
    if (state->active) {
        if (state->held_decisions) {
            state->held_decisions--;
        }
        if (state->held_decisions || (hysteresis && score_steps >= settings->release_steps)) {
            return POTSTILL_ACTIVE;
        }
        state->active = false;
        if (hysteresis) {
            state->votes = 0;
        }
    }
    if (!raised(state->votes, settings)) {
        return POTSTILL_IDLE;
    }
    state->active = true;
    state->held_decisions = settings->hold_decisions;
    return POTSTILL_ALARM;
}

static bool is_event(const uint8_t *event_bits, uint16_t output)
{
    return event_bits[output / 8] >> (output % 8) & 1;
}

int16_t potstill_log_odds(const int8_t *outputs, uint16_t count, const uint8_t *event_bits,
                          const uint32_t *exponentials)
{
    int8_t top = INT8_MIN;
    for (uint16_t i = 0; i < count; i++) {
        top = outputs[i] > top ? outputs[i] : top;
    }
    uint64_t event = 0, other = 0;
    for (uint16_t i = 0; i < count; i++) {
        const uint32_t share = exponentials[top - outputs[i]];
        if (is_event(event_bits, i)) {
            event += share;
        } else {
            other += share;
        }
    }
    const bool ahead = event >= other;
    const uint64_t high = ahead ? event : other;
    const uint64_t needed = ((ahead ? other : event) << EXPONENT_BITS) + (ahead ? 0 : 1);
    int16_t steps = 0;
    for (int16_t bit = 128; bit; bit /= 2) {
        if (high * exponentials[steps + bit] >= needed) {
            steps = (int16_t)(steps + bit);
        }
    }
    if (ahead) {
        return steps;
    }
    return steps < SCORE_LIMIT_STEPS ? (int16_t)(-steps - 1) : -SCORE_LIMIT_STEPS;
}
