/* Stores and loads settings; prints the name of the first check that fails, or "done". */
#include <stdio.h>
#include <string.h>

#include "nvs.h"
#include "potstill_decision_nvs.h"

int nvs_open_handles(void);

#define CHECK(told)       \
    do {                  \
        if (!(told)) {    \
            puts(#told);  \
            return 1;     \
        }                 \
    } while (0)

static potstill_settings built_in(void)
{
    const potstill_settings settings = {
        .threshold_steps = 40, .release_steps = 20, .hold_decisions = 9, .votes_needed = 5, .votes_window = 9, .streak = 2};
    return settings;
}

static int equal(potstill_settings a, potstill_settings b)
{
    return a.threshold_steps == b.threshold_steps && a.release_steps == b.release_steps &&
           a.hold_decisions == b.hold_decisions && a.votes_needed == b.votes_needed &&
           a.votes_window == b.votes_window && a.streak == b.streak;
}

int main(void)
{
    potstill_settings found = built_in(), other = built_in();
    nvs_handle_t handle;

    CHECK(potstill_settings_load(&found) == ESP_OK && equal(found, built_in())); /* nothing stored yet */

    other.votes_needed = 10;
    CHECK(potstill_settings_save(&other) == ESP_ERR_INVALID_ARG);
    CHECK(nvs_open(POTSTILL_NVS_NAMESPACE, NVS_READONLY, &handle) == ESP_ERR_NVS_NOT_FOUND);

    CHECK(nvs_open(POTSTILL_NVS_NAMESPACE, NVS_READWRITE, &handle) == ESP_OK); /* by another tool: one key alone */
    CHECK(nvs_set_i16(handle, "threshold", -7) == ESP_OK);
    nvs_close(handle);
    CHECK(potstill_settings_load(&found) == ESP_ERR_INVALID_STATE && equal(found, built_in())); /* under the release */

    CHECK(nvs_open(POTSTILL_NVS_NAMESPACE, NVS_READWRITE, &handle) == ESP_OK);
    CHECK(nvs_set_i16(handle, "threshold", 77) == ESP_OK);
    nvs_close(handle);
    CHECK(potstill_settings_load(&found) == ESP_OK && found.threshold_steps == 77 && found.votes_needed == 5);

    other = (potstill_settings){.threshold_steps = -3, .release_steps = POTSTILL_NO_RELEASE, .hold_decisions = 65535,
                                .votes_needed = 32, .votes_window = 32, .streak = 32};
    CHECK(potstill_settings_save(&other) == ESP_OK);
    found = built_in();
    CHECK(potstill_settings_load(&found) == ESP_OK && equal(found, other));

    CHECK(nvs_open(POTSTILL_NVS_NAMESPACE, NVS_READWRITE, &handle) == ESP_OK);
    CHECK(nvs_set_u16(handle, "streak", 2) == ESP_OK);
    nvs_close(handle);
    found = built_in();
    CHECK(potstill_settings_load(&found) == ESP_ERR_NVS_TYPE_MISMATCH && equal(found, built_in()));
    CHECK(nvs_open_handles() == 0);
    puts("done");
    return 0;
}
