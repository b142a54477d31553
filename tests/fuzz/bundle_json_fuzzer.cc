// The bundle's JSON files: parley.json, config.json and tokenizer.json.
#include <cstddef>
#include <cstdint>

#include "engine/bundle/language_model_shape.h"
#include "engine/bundle/manifest.h"
#include "engine/bundle/tokenizer_files.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace bundle = parley::engine::bundle;
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  bundle::ParseManifest(text, "fuzz").status().IgnoreError();
  bundle::ShapeFromConfig(text, "fuzz").status().IgnoreError();
  bundle::TokenizerFromJson(text, "fuzz").status().IgnoreError();
  return 0;
}
