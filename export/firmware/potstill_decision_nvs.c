#include "potstill_decision_nvs.h"

#ifdef ESP_PLATFORM
#include "nvs.h"

static esp_err_t kept(esp_err_t found)
{
    return found == ESP_ERR_NVS_NOT_FOUND ? ESP_OK : found;
}

static esp_err_t read_all(nvs_handle_t handle, potstill_settings *settings)
{
    const esp_err_t results[] = {
        kept(nvs_get_i16(handle, "threshold", &settings->threshold_steps)),
        kept(nvs_get_i16(handle, "release", &settings->release_steps)),
        kept(nvs_get_u16(handle, "hold", &settings->hold_decisions)),
        kept(nvs_get_u8(handle, "votes_needed", &settings->votes_needed)),
        kept(nvs_get_u8(handle, "votes_window", &settings->votes_window)),
        kept(nvs_get_u8(handle, "streak", &settings->streak)),
    };
    for (unsigned i = 0; i < sizeof results / sizeof results[0]; i++) {
        if (results[i] != ESP_OK) {
            return results[i];
        }
    }
    return ESP_OK;
}

esp_err_t potstill_settings_load(potstill_settings *settings)
{
    nvs_handle_t handle;
    potstill_settings found = *settings;
    esp_err_t result = nvs_open(POTSTILL_NVS_NAMESPACE, NVS_READONLY, &handle);
    if (result != ESP_OK) {
        /* The namespace appears with the first value that is stored. */
        return kept(result);
    }
    result = read_all(handle, &found);
    nvs_close(handle);
    if (result == ESP_OK && !potstill_settings_valid(&found)) {
        result = ESP_ERR_INVALID_STATE;
    }
    if (result == ESP_OK) {
        *settings = found;
    }
    return result;
}

static esp_err_t write_all(nvs_handle_t handle, const potstill_settings *settings)
{
    esp_err_t result = nvs_set_i16(handle, "threshold", settings->threshold_steps);
    if (result == ESP_OK) {
        result = nvs_set_i16(handle, "release", settings->release_steps);
    }
    if (result == ESP_OK) {
        result = nvs_set_u16(handle, "hold", settings->hold_decisions);
    }
    if (result == ESP_OK) {
        result = nvs_set_u8(handle, "votes_needed", settings->votes_needed);
    }
    if (result == ESP_OK) {
        result = nvs_set_u8(handle, "votes_window", settings->votes_window);
    }
    if (result == ESP_OK) {
        result = nvs_set_u8(handle, "streak", settings->streak);
    }
    return result == ESP_OK ? nvs_commit(handle) : result;
}

esp_err_t potstill_settings_save(const potstill_settings *settings)
{
    nvs_handle_t handle;
    if (!potstill_settings_valid(settings)) {
        return ESP_ERR_INVALID_ARG;
    }
    esp_err_t result = nvs_open(POTSTILL_NVS_NAMESPACE, NVS_READWRITE, &handle);
    if (result != ESP_OK) {
        return result;
    }
    result = write_all(handle, settings);
    nvs_close(handle);
    return result;
}
#endif
