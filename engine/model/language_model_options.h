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
  std::optional<KvFormat> kv_format;    // nullopt: as precise as the arithmetic

  KvFormat KvFormatInForce() const {
    return kv_format.value_or(arithmetic == Arithmetic::kFp32 ? KvFormat::kFp32 : KvFormat::kFp16);
  }
};

}  // namespace parley::engine
