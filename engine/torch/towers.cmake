# The towers: what turns audio and pictures into words or features.
parley_library(parley_engine_torch_towers
  SOURCES
    log_mel.cc weights.cc
    whisper/config.cc whisper/decoder.cc whisper/decoding_rules.cc whisper/encoder.cc whisper/special_tokens.cc
    whisper/transcription.cc whisper/whisper.cc
    efficientnet/labels_bridge.cc efficientnet/preprocessing.cc efficientnet/efficientnet.cc
  DEPS parley_engine_api parley_engine_bundle parley_engine_text parley_engine_torch_linear parley_libtorch
  PRIVATE_DEPS nlohmann_json::nlohmann_json)
