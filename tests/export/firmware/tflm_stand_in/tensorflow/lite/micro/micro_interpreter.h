/* As much of TFLM's interpreter as the component asks for, with its signatures; the network is behind pipes. */
#ifndef TENSORFLOW_LITE_MICRO_MICRO_INTERPRETER_H_
#define TENSORFLOW_LITE_MICRO_MICRO_INTERPRETER_H_

#include <cstdlib>
#include <string>
#include <vector>

#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/micro/micro_profiler_interface.h"
#include "tensorflow/lite/micro/recording_micro_allocator.h"
#include "tensorflow/lite/schema/schema_generated.h"

extern "C" {
#include "piped_network.h"
#include "potstill_own.h"
}

#define TFLITE_SCHEMA_VERSION (3)

enum TfLiteType { kTfLiteNoType = 0, kTfLiteFloat32 = 1, kTfLiteInt8 = 9 };

struct TfLiteTensor {
    TfLiteType type;
    union {
        int8_t *int8;
        float *f;
    } data;
    size_t bytes;
};

namespace tflite {

class MicroResourceVariables;

class MicroInterpreter {
  public:
    MicroInterpreter(const Model *model, const MicroOpResolver &op_resolver, uint8_t *tensor_arena,
                     size_t tensor_arena_size, MicroResourceVariables *resource_variables = nullptr,
                     MicroProfilerInterface *profiler = nullptr, bool preserve_all_tensors = false)
        : MicroInterpreter(model, op_resolver, nullptr, resource_variables, profiler) {
        (void)preserve_all_tensors;
        tensor_arena[tensor_arena_size - 1] = 0;
    }
    MicroInterpreter(const Model *model, const MicroOpResolver &op_resolver, MicroAllocator *allocator,
                     MicroResourceVariables *resource_variables = nullptr, MicroProfilerInterface *profiler = nullptr)
        : profiler_(profiler), operators_(op_resolver.count()) {
        (void)model;
        (void)allocator;
        (void)resource_variables;
    }
    TfLiteStatus AllocateTensors() {
        const char *wanted = getenv("POTSTILL_OPERATORS");
        if (wanted == nullptr || operators_ != strtoul(wanted, nullptr, 10)) {
            return kTfLiteError;
        }
        network_ = piped_network_open(&potstill_own);
        for (uint8_t i = 0; i <= potstill_own.states_count; i++) {
            const size_t heard = static_cast<size_t>(potstill_own.frames_per_run) * potstill_own.front_end.values;
            const size_t state = i ? potstill_own.states[i - 1].bytes : 0;
            inputs_.push_back({kTfLiteInt8, {network_.input(nullptr, i)}, i ? state : heard});
            int8_t *output = const_cast<int8_t *>(network_.output(nullptr, i));
            outputs_.push_back({kTfLiteInt8, {output}, i ? state : potstill_own.outputs});
        }
        return kTfLiteOk;
    }
    TfLiteStatus Invoke() {
        std::string tags = getenv("POTSTILL_TAGS") ? getenv("POTSTILL_TAGS") : "";
        for (size_t at = 0; profiler_ != nullptr && at < tags.size();) {
            const size_t end = tags.find(',', at);
            kept_.push_back(new std::string(tags.substr(at, end - at)));
            profiler_->EndEvent(profiler_->BeginEvent(kept_.back()->c_str()));
            at = end == std::string::npos ? tags.size() : end + 1;
        }
        return network_.run(nullptr) ? kTfLiteOk : kTfLiteError;
    }
    TfLiteTensor *input(size_t index) { return &inputs_[index]; }
    TfLiteTensor *output(size_t index) { return &outputs_[index]; }
    size_t inputs_size() const { return inputs_.size(); }
    size_t outputs_size() const { return outputs_.size(); }
    size_t arena_used_bytes() const { return 3000; }

  private:
    MicroProfilerInterface *profiler_;
    unsigned long operators_;
    potstill_network network_ = {};
    std::vector<TfLiteTensor> inputs_, outputs_;
    std::vector<std::string *> kept_;
};

}  // namespace tflite

#endif
