#include "engine/model/kv_format.h"

#include "absl/strings/str_cat.h"

namespace parley::engine {

absl::StatusOr<std::optional<KvFormat>> KvFormatByName(absl::string_view name) {
  if (name == "auto") return std::nullopt;
  if (name == "fp32") return KvFormat::kFp32;
  if (name == "fp16") return KvFormat::kFp16;
  if (name == "int8") return KvFormat::kInt8;
  return absl::InvalidArgumentError(absl::StrCat("KV format '", name, "' is not auto, fp32, fp16 or int8"));
}

}  // namespace parley::engine
