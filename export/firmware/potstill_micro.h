/* TensorFlow Lite Micro's audio front end as ESPHome runs it, by the component esphome/esp-micro-speech-features. */
#ifndef POTSTILL_MICRO_H
#define POTSTILL_MICRO_H

#include "potstill_front_end.h"

#ifdef __cplusplus
extern "C" {
#endif

extern const potstill_frame_source potstill_micro;

#ifdef __cplusplus
}
#endif
#endif
