// How keys and values are kept.
#pragma once

#include <optional>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace parley::engine {

enum class KvFormat { kFp32, kFp16, kInt8 };

// "fp32", "fp16", "int8", or "auto", which is nullopt: as precise as the arithmetic. INVALID_ARGUMENT for
// another name.
absl::StatusOr<std::optional<KvFormat>> KvFormatByName(absl::string_view name);

}  // namespace parley::engine
