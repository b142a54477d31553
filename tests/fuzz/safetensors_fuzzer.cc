// Safetensors bytes: whatever they are, a parsed file or a Status, and every view within the bytes.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/bundle/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace bundle = parley::engine::bundle;
  const auto file =
      bundle::Safetensors::Parse(absl::MakeConstSpan(reinterpret_cast<const std::byte*>(data), size), "fuzz");
  if (!file.ok()) return 0;
  for (const std::string& name : file->names()) {
    const auto view = file->Find(name);
    if (!view.ok() || view->values() > 1 << 16) continue;
    std::vector<float> floats(static_cast<size_t>(view->values()));
    bundle::Dequantize(*view, absl::MakeSpan(floats)).IgnoreError();
  }
  return 0;
}
