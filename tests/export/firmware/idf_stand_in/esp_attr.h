/* As much of ESP-IDF's esp_attr.h as the example asks for. */
#ifndef ESP_ATTR_H
#define ESP_ATTR_H

#define IRAM_ATTR

#endif
