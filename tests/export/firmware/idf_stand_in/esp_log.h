/* As much of ESP-IDF's esp_log.h and esp_err.h as the example asks for; lines look as a monitor shows them. */
#ifndef ESP_LOG_H
#define ESP_LOG_H

#include <stdio.h>
#include <stdlib.h>

#include "esp_err.h"

#define ESP_LOG_LINE(letter, tag, format, ...) printf(letter " (123) %s: " format "\n", tag, ##__VA_ARGS__)
#define ESP_LOGE(tag, format, ...) ESP_LOG_LINE("E", tag, format, ##__VA_ARGS__)
#define ESP_LOGW(tag, format, ...) ESP_LOG_LINE("W", tag, format, ##__VA_ARGS__)
#define ESP_LOGI(tag, format, ...) ESP_LOG_LINE("I", tag, format, ##__VA_ARGS__)

#define ESP_ERROR_CHECK(expression) ((expression) == ESP_OK ? (void)0 : abort())

static inline const char *esp_err_to_name(esp_err_t code)
{
    return code == ESP_OK ? "ESP_OK" : "ESP_FAIL";
}

#endif
