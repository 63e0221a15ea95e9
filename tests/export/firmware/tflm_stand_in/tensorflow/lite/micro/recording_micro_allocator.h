/* As much of TFLM's allocators as the component asks for, with their signatures. */
#ifndef TENSORFLOW_LITE_MICRO_RECORDING_MICRO_ALLOCATOR_H_
#define TENSORFLOW_LITE_MICRO_RECORDING_MICRO_ALLOCATOR_H_

#include <cstddef>
#include <cstdint>
#include <cstdio>

namespace tflite {

class MicroAllocator {};

class RecordingMicroAllocator : public MicroAllocator {
  public:
    static RecordingMicroAllocator *Create(uint8_t *tensor_arena, size_t arena_size) {
        static RecordingMicroAllocator allocator;
        tensor_arena[arena_size - 1] = 0;
        return &allocator;
    }
    void PrintAllocations() const {
        printf("[RecordingMicroAllocator] Arena allocation total 3000 bytes\n");
        printf("[RecordingMicroAllocator] Arena allocation head 1000 bytes\n");
        printf("[RecordingMicroAllocator] Arena allocation tail 2000 bytes\n");
    }
};

}  // namespace tflite

#endif
