// How a language model is loaded, whatever its device.
#pragma once

#include <cstdint>
#include <optional>

#include "engine/model/arithmetic.h"
#include "engine/model/kv_format.h"

namespace parley::engine {

struct LanguageModelOptions {
  int threads = 1;  // of the processor, where the device is one
  Arithmetic arithmetic = Arithmetic::kFp32;
  int64_t kv_bytes = int64_t{2} << 30;  // all conversations together
  std::optional<KvFormat> kv_format;    // nullopt: fp32 with fp32, else fp16
};

}  // namespace parley::engine
