// GGUF bytes: whatever they are, a parsed file or a Status, and every view within the bytes.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/bundle/gguf.h"
#include "engine/bundle/language_model_shape.h"
#include "engine/bundle/tokenizer_files.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace bundle = parley::engine::bundle;
  const auto gguf =
      bundle::Gguf::Parse(absl::MakeConstSpan(reinterpret_cast<const std::byte*>(data), size), "fuzz");
  if (!gguf.ok()) return 0;
  for (const std::string& name : gguf->tensor_names()) {
    const auto view = gguf->Tensor(name);
    if (!view.ok() || view->values() > 1 << 16) continue;
    std::vector<float> floats(static_cast<size_t>(view->values()));
    bundle::Dequantize(*view, absl::MakeSpan(floats)).IgnoreError();
  }
  bundle::ShapeFromGguf(*gguf).status().IgnoreError();
  bundle::TokenizerFromGguf(*gguf).status().IgnoreError();
  return 0;
}
