# The towers: what turns audio and pictures into words or features.
parley_library(parley_engine_torch_towers
  SOURCES
    weights.cc
    whisper/decoder.cc whisper/encoder.cc whisper/load.cc whisper/networks.cc
  DEPS parley_engine_api parley_engine_bundle parley_engine_text parley_engine_cpu parley_engine_torch_linear parley_engine_whisper parley_libtorch
  PRIVATE_DEPS nlohmann_json::nlohmann_json)
