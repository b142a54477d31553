#include "engine/whisper/config.h"

#include <nlohmann/json.hpp>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace parley::engine::whisper {
namespace {

absl::Status ReadInt(const nlohmann::json& json, const char* key, int limit, int* value) {
  const auto found = json.find(key);
  if (found == json.end() || !found->is_number_integer()) {
    return absl::InvalidArgumentError(
        absl::StrCat("Whisper config.json: ", key, " is missing or no integer"));
  }
  const int64_t number = found->get<int64_t>();
  if (number < 1 || number > limit) {
    return absl::InvalidArgumentError(
        absl::StrCat("Whisper config.json: ", key, " is ", number, ", not 1 to ", limit));
  }
  *value = static_cast<int>(number);
  return absl::OkStatus();
}

// A list of token ids; missing or null: empty.
absl::Status ReadTokens(const nlohmann::json& json, const char* key, int vocabulary,
                        std::vector<TokenId>* tokens) {
  const auto found = json.find(key);
  if (found == json.end() || found->is_null()) return absl::OkStatus();
  const auto wrong = [&] {
    return absl::InvalidArgumentError(absl::StrCat("Whisper config.json: ", key, " is no list of token ids"));
  };
  if (!found->is_array()) return wrong();
  for (const nlohmann::json& item : *found) {
    if (!item.is_number_integer()) return wrong();
    const int64_t id = item.get<int64_t>();
    if (id < 0 || id >= vocabulary) return wrong();
    tokens->push_back(static_cast<TokenId>(id));
  }
  return absl::OkStatus();
}

// openai/whisper has them for each checkpoint (__init__.py, _ALIGNMENT_HEADS), config.json for none.
std::vector<AttentionHead> AlignmentHeadsOfShape(const Config& config) {
  const bool base = config.decoder_layers == 6 && config.decoder_heads == 8 && config.width == 512 &&
                    config.vocabulary == 51'865;
  if (!base) return {};
  return {{3, 1}, {4, 2}, {4, 3}, {4, 7}, {5, 1}, {5, 2}, {5, 4}, {5, 6}};
}

absl::Status ReadAlignmentHeads(const nlohmann::json& json, Config* config) {
  const auto found = json.find("alignment_heads");
  if (found == json.end() || found->is_null()) {
    config->alignment_heads = AlignmentHeadsOfShape(*config);
    return absl::OkStatus();
  }
  const auto index = [](const nlohmann::json& value, int limit) {
    const int64_t number = value.is_number_integer() ? value.get<int64_t>() : -1;
    return number < limit ? static_cast<int>(number) : -1;
  };
  const auto wrong = [] {
    return absl::InvalidArgumentError(
        "Whisper config.json: alignment_heads is no list of decoder layers and their heads");
  };
  const int64_t heads = static_cast<int64_t>(config->decoder_layers) * config->decoder_heads;
  if (!found->is_array() || static_cast<int64_t>(found->size()) > heads) return wrong();
  for (const nlohmann::json& item : *found) {
    if (!item.is_array() || item.size() != 2) return wrong();
    const AttentionHead head = {index(item[0], config->decoder_layers),
                                index(item[1], config->decoder_heads)};
    if (head.layer < 0 || head.head < 0) return wrong();
    config->alignment_heads.push_back(head);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Config> ParseConfig(absl::string_view text) {
  const nlohmann::json json =
      nlohmann::json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return absl::InvalidArgumentError("Whisper config.json: no JSON object");
  Config config;
  const struct {
    const char* key;
    int limit;
    int* value;
  } numbers[] = {{"d_model", 8192, &config.width},
                 {"num_mel_bins", 512, &config.mel_bins},
                 {"encoder_layers", 256, &config.encoder_layers},
                 {"encoder_attention_heads", 256, &config.encoder_heads},
                 {"encoder_ffn_dim", 65536, &config.encoder_ffn},
                 {"decoder_layers", 256, &config.decoder_layers},
                 {"decoder_attention_heads", 256, &config.decoder_heads},
                 {"decoder_ffn_dim", 65536, &config.decoder_ffn},
                 {"vocab_size", 1 << 20, &config.vocabulary},
                 {"max_source_positions", 1 << 16, &config.max_encoder_positions},
                 {"max_target_positions", 1 << 16, &config.max_decoder_positions}};
  for (const auto& number : numbers) {
    const absl::Status status = ReadInt(json, number.key, number.limit, number.value);
    if (!status.ok()) return status;
  }
  if (config.width % config.encoder_heads != 0 || config.width % config.decoder_heads != 0) {
    return absl::InvalidArgumentError("Whisper config.json: d_model is no multiple of the attention heads");
  }
  absl::Status status = ReadTokens(json, "suppress_tokens", config.vocabulary, &config.suppressed);
  if (status.ok())
    status = ReadTokens(json, "begin_suppress_tokens", config.vocabulary, &config.suppressed_at_begin);
  if (status.ok()) status = ReadAlignmentHeads(json, &config);
  if (!status.ok()) return status;
  return config;
}

}  // namespace parley::engine::whisper
