/* A microphone on I2S or PDM, by the pins of menuconfig. */
#ifndef MICROPHONE_H
#define MICROPHONE_H

#include <stddef.h>
#include <stdint.h>

#include "esp_err.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Start listening. */
esp_err_t microphone_open(uint32_t sample_rate_hz);

/* Wait for sound and give up to `count` samples; how many. */
size_t microphone_read(int16_t *samples, size_t count);

/* How often sound was lost since the last call because nobody read it in time. */
uint32_t microphone_losses(void);

#ifdef __cplusplus
}
#endif
#endif
