// Whisper's shape and token lists, from the Hugging Face config.json.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/text/token.h"

namespace parley::engine::whisper {

// Of the decoder's cross attention.
struct AttentionHead {
  int layer = 0;
  int head = 0;
  friend bool operator==(const AttentionHead&, const AttentionHead&) = default;
};

struct Config {
  int width = 0;  // d_model
  int mel_bins = 0;
  int encoder_layers = 0;
  int encoder_heads = 0;
  int encoder_ffn = 0;
  int decoder_layers = 0;
  int decoder_heads = 0;
  int decoder_ffn = 0;
  int vocabulary = 0;
  int max_encoder_positions = 0;             // 1500: 30 s
  int max_decoder_positions = 0;             // 448 tokens
  std::vector<TokenId> suppressed;           // never written
  std::vector<TokenId> suppressed_at_begin;  // never written first
  // Heads that attend to what is being written, [[layer, head], ...] as in a checkpoint's
  // generation_config.json; Whisper base has them by its shape. Empty: not known.
  std::vector<AttentionHead> alignment_heads;
};

// INVALID_ARGUMENT naming the key that is missing, of another type or out of range.
absl::StatusOr<Config> ParseConfig(absl::string_view json);

}  // namespace parley::engine::whisper
