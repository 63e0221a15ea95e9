#include "potstill_tflm.h"

#include <cstdio>
#include <cstring>
#include <new>

#include "esp_heap_caps.h"
#include "esp_log.h"
#include "esp_timer.h"
#include "potstill_operators.h"
#include "potstill_profiler.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_profiler_interface.h"
#include "tensorflow/lite/micro/recording_micro_allocator.h"
#include "tensorflow/lite/schema/schema_generated.h"

namespace {

constexpr char kTag[] = "potstill";
constexpr size_t kAlignment = 16;

uint32_t now_us() { return static_cast<uint32_t>(esp_timer_get_time()); }

void print_line(const char *line) { printf("%s\n", line); }

class Profiler final : public tflite::MicroProfilerInterface {
  public:
    uint32_t BeginEvent(const char *tag) override { return potstill_profiler_begin(&profiler, tag, now_us()); }
    void EndEvent(uint32_t event) override { potstill_profiler_end(&profiler, event, now_us()); }

    potstill_profiler profiler = {};
};

void *memory(size_t bytes, bool in_psram) {
    const uint32_t where = in_psram ? MALLOC_CAP_SPIRAM : MALLOC_CAP_INTERNAL;
    return heap_caps_aligned_alloc(kAlignment, bytes, where | MALLOC_CAP_8BIT);
}

}  // namespace

struct potstill_tflm {
    PotstillResolver resolver;
    Profiler profiler;
    tflite::RecordingMicroAllocator *recorder = nullptr;
    tflite::MicroInterpreter *interpreter = nullptr;
};

namespace {

tflite::MicroInterpreter *interpreter_of(void *context) {
    return static_cast<potstill_tflm *>(context)->interpreter;
}

int8_t *input(void *context, uint8_t position) { return interpreter_of(context)->input(position)->data.int8; }

const int8_t *output(void *context, uint8_t position) { return interpreter_of(context)->output(position)->data.int8; }

bool run(void *context) { return interpreter_of(context)->Invoke() == kTfLiteOk; }

bool is_int8(const TfLiteTensor *tensor, size_t bytes) {
    return tensor != nullptr && tensor->type == kTfLiteInt8 && tensor->bytes == bytes;
}

/* Whether the model takes and gives what the student's description says: a mix of two exports would not. */
bool is_of(tflite::MicroInterpreter *interpreter, const potstill_student *student) {
    const size_t heard = static_cast<size_t>(student->frames_per_run) * student->front_end.values;
    const size_t sides = student->states_count + 1u;
    if (interpreter->inputs_size() != sides || interpreter->outputs_size() != sides ||
        !is_int8(interpreter->input(0), heard) || !is_int8(interpreter->output(0), student->outputs)) {
        return false;
    }
    for (size_t i = 1; i < sides; i++) {
        const size_t bytes = student->states[i - 1].bytes;
        if (!is_int8(interpreter->input(i), bytes) || !is_int8(interpreter->output(i), bytes)) {
            return false;
        }
    }
    return true;
}

const unsigned char *placed(const potstill_tflm_settings *settings) {
    if (!settings->model_in_psram) {
        return settings->model;
    }
    void *copy = memory(settings->model_bytes, true);
    return copy == nullptr ? nullptr
                           : static_cast<const unsigned char *>(memcpy(copy, settings->model, settings->model_bytes));
}

bool make_interpreter(potstill_tflm *tflm, const potstill_tflm_settings *settings, const tflite::Model *model,
                      uint8_t *arena) {
    if (settings->profiled_operators == 0) {
        tflm->interpreter =
            new (std::nothrow) tflite::MicroInterpreter(model, tflm->resolver, arena, settings->arena_bytes);
        return tflm->interpreter != nullptr;
    }
    potstill_profiler &profiler = tflm->profiler.profiler;
    profiler.capacity = settings->profiled_operators;
    profiler.events = new (std::nothrow) potstill_timed[profiler.capacity];
    tflm->recorder = tflite::RecordingMicroAllocator::Create(arena, settings->arena_bytes);
    if (profiler.events == nullptr || tflm->recorder == nullptr) {
        return false;
    }
    tflm->interpreter = new (std::nothrow)
        tflite::MicroInterpreter(model, tflm->resolver, tflm->recorder, nullptr, &tflm->profiler);
    return tflm->interpreter != nullptr;
}

}  // namespace

potstill_tflm *potstill_tflm_open(const potstill_tflm_settings *settings, const potstill_student *student) {
    auto *arena = static_cast<uint8_t *>(memory(settings->arena_bytes, settings->arena_in_psram));
    const unsigned char *bytes = placed(settings);
    auto *tflm = new (std::nothrow) potstill_tflm;
    if (arena == nullptr || bytes == nullptr || tflm == nullptr) {
        ESP_LOGE(kTag, "%s: no memory for an arena of %u bytes or a model of %u", student->name,
                 static_cast<unsigned>(settings->arena_bytes), static_cast<unsigned>(settings->model_bytes));
        return nullptr;
    }
    const tflite::Model *model = tflite::GetModel(bytes);
    if (model->version() != TFLITE_SCHEMA_VERSION || potstill_add_operators(tflm->resolver) != kTfLiteOk ||
        !make_interpreter(tflm, settings, model, arena)) {
        ESP_LOGE(kTag, "%s: no interpreter", student->name);
        return nullptr;
    }
    if (tflm->interpreter->AllocateTensors() != kTfLiteOk) {
        ESP_LOGE(kTag, "%s: an arena of %u bytes is too small, or an operator is missing", student->name,
                 static_cast<unsigned>(settings->arena_bytes));
        return nullptr;
    }
    if (!is_of(tflm->interpreter, student)) {
        ESP_LOGE(kTag, "%s: the model is not the one that its description is of", student->name);
        return nullptr;
    }
    return tflm;
}

potstill_network potstill_tflm_network(potstill_tflm *tflm) { return {tflm, input, output, run}; }

size_t potstill_tflm_arena_bytes(const potstill_tflm *tflm) { return tflm->interpreter->arena_used_bytes(); }

void potstill_tflm_clear_profile(potstill_tflm *tflm) { potstill_profiler_clear(&tflm->profiler.profiler); }

void potstill_tflm_print_profile(potstill_tflm *tflm) {
    if (tflm->recorder != nullptr) {
        potstill_profiler_print(&tflm->profiler.profiler, print_line);
        tflm->recorder->PrintAllocations();
    }
}
