/* As much of TFLite's schema as the component asks for. */
#ifndef TENSORFLOW_LITE_SCHEMA_SCHEMA_GENERATED_H_
#define TENSORFLOW_LITE_SCHEMA_SCHEMA_GENERATED_H_

#include <cstdint>
#include <cstring>

namespace tflite {

struct Model {
    uint32_t version() const { return 3; }
};

/* Checks what every .tflite begins with, and the alignment that vector loads need. */
inline const Model *GetModel(const void *bytes) {
    static const Model model;
    const bool whole = memcmp(static_cast<const char *>(bytes) + 4, "TFL3", 4) == 0;
    return whole && reinterpret_cast<uintptr_t>(bytes) % 16 == 0 ? &model : nullptr;
}

}  // namespace tflite

#endif
