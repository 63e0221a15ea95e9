#include "nvs.h"

#include <stdbool.h>
#include <string.h>

enum { MOST_KEYS = 16, LONGEST_KEY = 15, I16 = 1, U16, U8 };

static struct {
    char key[LONGEST_KEY + 1];
    int type;
    int value;
} entries[MOST_KEYS];
static int used;
static bool exists, writable;
static int open_handles;

esp_err_t nvs_open(const char *name, nvs_open_mode_t mode, nvs_handle_t *handle)
{
    if (strlen(name) > LONGEST_KEY) {
        return ESP_ERR_INVALID_ARG;
    }
    if (!exists && mode == NVS_READONLY) {
        return ESP_ERR_NVS_NOT_FOUND;
    }
    exists = true;
    writable = mode == NVS_READWRITE;
    *handle = 7;
    open_handles++;
    return ESP_OK;
}

void nvs_close(nvs_handle_t handle)
{
    (void)handle;
    open_handles--;
}

int nvs_open_handles(void);
int nvs_open_handles(void)
{
    return open_handles;
}

esp_err_t nvs_commit(nvs_handle_t handle)
{
    return handle == 7 ? ESP_OK : ESP_ERR_NVS_INVALID_HANDLE;
}

static int found(const char *key)
{
    int at = 0;
    while (at < used && strcmp(entries[at].key, key)) {
        at++;
    }
    return at;
}

static esp_err_t get(const char *key, int type, int *value)
{
    const int at = found(key);
    if (at == used) {
        return ESP_ERR_NVS_NOT_FOUND;
    }
    if (entries[at].type != type) {
        return ESP_ERR_NVS_TYPE_MISMATCH;
    }
    *value = entries[at].value;
    return ESP_OK;
}

static esp_err_t set(const char *key, int type, int value)
{
    const int at = found(key);
    if (!writable) {
        return ESP_ERR_NVS_READ_ONLY;
    }
    if (strlen(key) > LONGEST_KEY || at == MOST_KEYS) {
        return ESP_ERR_INVALID_ARG;
    }
    used += at == used;
    strcpy(entries[at].key, key);
    entries[at].type = type;
    entries[at].value = value;
    return ESP_OK;
}

#define ACCESS(name, type_name, type)                                                \
    esp_err_t nvs_get_##name(nvs_handle_t handle, const char *key, type_name *value) \
    {                                                                                \
        int stored;                                                                  \
        const esp_err_t result = handle == 7 ? get(key, type, &stored) : ESP_FAIL;   \
        if (result == ESP_OK) {                                                      \
            *value = (type_name)stored;                                              \
        }                                                                            \
        return result;                                                               \
    }                                                                                \
    esp_err_t nvs_set_##name(nvs_handle_t handle, const char *key, type_name value)  \
    {                                                                                \
        return handle == 7 ? set(key, type, value) : ESP_FAIL;                       \
    }

ACCESS(i16, int16_t, I16)
ACCESS(u16, uint16_t, U16)
ACCESS(u8, uint8_t, U8)
