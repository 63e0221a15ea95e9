/* Settings of the decision in the device's non-volatile storage, so that they change without a new firmware. */
#ifndef POTSTILL_DECISION_NVS_H
#define POTSTILL_DECISION_NVS_H

#include "potstill_decision.h"

#ifdef ESP_PLATFORM
#include "esp_err.h"

#ifdef __cplusplus
extern "C" {
#endif

#define POTSTILL_NVS_NAMESPACE "potstill"

/* Put what is stored over *settings, which holds the firmware's own; keys that are not stored leave theirs.
 * nvs_flash_init() must have been called. ESP_ERR_INVALID_STATE: what is stored makes no valid settings, as after a
 * power cut amid a change; then, as with every other error, *settings is left as it was. */
esp_err_t potstill_settings_load(potstill_settings *settings);

/* Store all settings; ESP_ERR_INVALID_ARG for settings that are not valid. Call potstill_reset before using them. */
esp_err_t potstill_settings_save(const potstill_settings *settings);

#ifdef __cplusplus
}
#endif
#endif
#endif
