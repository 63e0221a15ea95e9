/* A speaker's amplifier on I2S, by the pins of menuconfig; nothing where it is switched off. */
#ifndef SPEAKER_H
#define SPEAKER_H

#include <stddef.h>
#include <stdint.h>

#include "esp_err.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Switch it on. */
esp_err_t speaker_open(uint32_t sample_rate_hz);

/* Play samples; waits where it is still busy with earlier ones. */
void speaker_write(const int16_t *samples, size_t count);

#ifdef __cplusplus
}
#endif
#endif
