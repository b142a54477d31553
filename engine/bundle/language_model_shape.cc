#include "engine/bundle/language_model_shape.h"

#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/bundle/rope.h"
#include "nlohmann/json.hpp"

namespace parley::engine::bundle {
namespace {

using Json = nlohmann::json;

// Larger than any model that is meant; keeps products within 64 bits.
constexpr int64_t kMaxExtent = 1 << 20;
constexpr int64_t kMaxContext = 1 << 24;
constexpr int64_t kMaxVocabulary = 1 << 24;

absl::Status Unsupported(const std::string& path, absl::string_view what) {
  return absl::UnimplementedError(absl::StrCat(path, ": ", what));
}

// What both kinds of file must satisfy.
absl::Status CheckShape(const LanguageModelShape& shape, const std::string& path) {
  const auto bad = [&](absl::string_view reason) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": impossible shape: ", reason));
  };
  if (shape.heads % shape.kv_heads != 0) {
    return bad(absl::StrCat(shape.heads, " heads are no multiple of ", shape.kv_heads, " key-value heads"));
  }
  if (shape.head_dim % 2 != 0) return bad(absl::StrCat("head dimension ", shape.head_dim, " is odd"));
  if (!(shape.rms_epsilon > 0 && shape.rms_epsilon < 1)) return bad("RMSNorm epsilon is out of range");
  return absl::OkStatus();
}

// Reads typed keys of one source and latches the first error.
template <typename ReadInt>
class Extents {
 public:
  Extents(std::string path, ReadInt read) : path_(std::move(path)), read_(std::move(read)) {}
  int Read(absl::string_view key, int64_t limit = kMaxExtent) {
    absl::StatusOr<int64_t> value = read_(key);
    if (value.ok() && (*value < 1 || *value > limit)) {
      value = absl::InvalidArgumentError(
          absl::StrCat(path_, ": '", key, "' is ", *value, ", not from 1 to ", limit));
    }
    if (value.ok()) return static_cast<int>(*value);
    if (status_.ok()) status_ = value.status();
    return 1;
  }
  const absl::Status& status() const { return status_; }

 private:
  std::string path_;
  ReadInt read_;
  absl::Status status_;
};

absl::Status ReadGgufRope(const Gguf& gguf, const std::string& prefix, LanguageModelShape& shape) {
  double base = 10'000;
  if (const absl::StatusOr<double> stated = gguf.Float(prefix + "rope.freq_base"); stated.ok())
    base = *stated;
  if (!(base > 1) || !std::isfinite(base)) {
    return absl::InvalidArgumentError(
        absl::StrCat(gguf.path(), ": key '", prefix, "rope.freq_base' is out of range"));
  }
  if (const absl::StatusOr<int64_t> rotated = gguf.Int(prefix + "rope.dimension_count");
      rotated.ok() && *rotated != shape.head_dim) {
    return Unsupported(gguf.path(), absl::StrCat("rotary embedding of ", *rotated, " of a head's ",
                                                 shape.head_dim, " dimensions is not supported"));
  }
  shape.rope_frequencies = RopeFrequencies(base, shape.head_dim);

  const absl::StatusOr<std::string> type = gguf.String(prefix + "rope.scaling.type");
  if (type.ok() && *type != "none") {
    const absl::StatusOr<double> factor = gguf.Float(prefix + "rope.scaling.factor");
    if (*type != "linear" || !factor.ok() || !(*factor > 0)) {
      return Unsupported(gguf.path(), absl::StrCat("rotary scaling '", *type, "' is not supported"));
    }
    for (float& frequency : shape.rope_frequencies) frequency = static_cast<float>(frequency / *factor);
  }
  // Llama 3.1's scaling comes as a divisor for each pair.
  if (gguf.HasTensor("rope_freqs.weight")) {
    const absl::StatusOr<TensorView> divisors = gguf.Tensor("rope_freqs.weight");
    if (!divisors.ok()) return divisors.status();
    std::vector<float> values(shape.rope_frequencies.size());
    if (absl::Status status = Dequantize(*divisors, absl::MakeSpan(values)); !status.ok()) {
      return absl::Status(status.code(), absl::StrCat(gguf.path(), ": ", status.message()));
    }
    for (size_t i = 0; i < values.size(); ++i) shape.rope_frequencies[i] /= values[i];
  }
  return absl::OkStatus();
}

absl::StatusOr<double> Positive(const Json& object, const char* key, const std::string& path) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number() || !(found->get<double>() > 0)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": '", key, "' is not a positive number"));
  }
  return found->get<double>();
}

absl::Status ReadConfigRope(const Json& config, const std::string& path, LanguageModelShape& shape) {
  // Newer configurations keep base and scaling together in rope_parameters.
  const Json empty = Json::object();
  const Json* scaling = &empty;
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    if (config.contains(key) && config[key].is_object()) scaling = &config[key];
  }
  double base = 10'000;
  for (const Json* object : {&config, scaling}) {
    if (!object->contains("rope_theta")) continue;
    const absl::StatusOr<double> stated = Positive(*object, "rope_theta", path);
    if (!stated.ok()) return stated.status();
    base = *stated;
  }
  shape.rope_frequencies = RopeFrequencies(base, shape.head_dim);

  std::string type = "default";
  for (const char* key : {"type", "rope_type"}) {
    if (scaling->contains(key) && (*scaling)[key].is_string()) type = (*scaling)[key].get<std::string>();
  }
  if (type == "default") return absl::OkStatus();
  if (type != "linear" && type != "llama3") {
    return Unsupported(path, absl::StrCat("rotary scaling '", type, "' is not supported"));
  }
  const absl::StatusOr<double> factor = Positive(*scaling, "factor", path);
  if (!factor.ok()) return factor.status();
  if (type == "linear") {
    for (float& frequency : shape.rope_frequencies) frequency = static_cast<float>(frequency / *factor);
    return absl::OkStatus();
  }
  const absl::StatusOr<double> low = Positive(*scaling, "low_freq_factor", path);
  const absl::StatusOr<double> high = Positive(*scaling, "high_freq_factor", path);
  const absl::StatusOr<double> original = Positive(*scaling, "original_max_position_embeddings", path);
  for (const auto* value : {&low, &high, &original}) {
    if (!value->ok()) return value->status();
  }
  ApplyLlama3Scaling({*factor, *low, *high, *original}, shape.rope_frequencies);
  return absl::OkStatus();
}

// Settings of the family that the engine does not run; absent or at the value it does run is fine.
absl::Status CheckConfigSettings(const Json& config, const std::string& path) {
  const auto stated = [&](const char* key) { return config.contains(key) ? config[key] : Json(); };
  const Json activation = stated("hidden_act");
  if (!activation.is_null() && activation != "silu") {
    return Unsupported(path,
                       absl::StrCat("activation ", activation.dump(), " is not supported (\"silu\" is)"));
  }
  for (const char* flag : {"mlp_bias", "use_sliding_window"}) {
    if (stated(flag) == true) return Unsupported(path, absl::StrCat("'", flag, "' is not supported"));
  }
  if (config.contains("quantization_config"))
    return Unsupported(path, "'quantization_config' is not supported");
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<LanguageModelShape> ShapeFromGguf(const Gguf& gguf) {
  const absl::StatusOr<std::string> architecture = gguf.String("general.architecture");
  if (!architecture.ok()) return architecture.status();
  if (*architecture != "llama" && *architecture != "qwen2") {
    return Unsupported(gguf.path(), absl::StrCat("architecture '", *architecture,
                                                 "' is not supported (llama and qwen2 are)"));
  }
  const std::string prefix = *architecture + ".";
  if (const absl::StatusOr<int64_t> experts = gguf.Int(prefix + "expert_count");
      experts.ok() && *experts > 0) {
    return Unsupported(gguf.path(), "mixtures of experts are not supported");
  }

  LanguageModelShape shape;
  shape.architecture = *architecture;
  shape.name = gguf.String("general.name").value_or(*architecture);
  Extents extents(gguf.path(), [&](absl::string_view key) { return gguf.Int(prefix + std::string(key)); });
  shape.layers = extents.Read("block_count");
  shape.hidden = extents.Read("embedding_length");
  shape.ffn = extents.Read("feed_forward_length");
  shape.heads = extents.Read("attention.head_count");
  shape.kv_heads =
      gguf.HasKey(prefix + "attention.head_count_kv") ? extents.Read("attention.head_count_kv") : shape.heads;
  shape.context_tokens = extents.Read("context_length", kMaxContext);
  shape.head_dim = gguf.HasKey(prefix + "attention.key_length") ? extents.Read("attention.key_length")
                                                                : shape.hidden / shape.heads;
  if (!extents.status().ok()) return extents.status();
  if (shape.head_dim < 1)
    return absl::InvalidArgumentError(absl::StrCat(gguf.path(), ": impossible shape: no head"));
  const absl::StatusOr<double> epsilon = gguf.Float(prefix + "attention.layer_norm_rms_epsilon");
  if (!epsilon.ok()) return epsilon.status();
  shape.rms_epsilon = static_cast<float>(*epsilon);

  const absl::StatusOr<TensorView> embedding = gguf.Tensor("token_embd.weight");
  if (!embedding.ok()) return embedding.status();
  if (embedding->shape.size() != 2 || embedding->shape[0] < 1 || embedding->shape[0] > kMaxVocabulary) {
    return absl::InvalidArgumentError(absl::StrCat(gguf.path(), ": 'token_embd.weight' is no embedding"));
  }
  shape.vocabulary = static_cast<int>(embedding->shape[0]);
  shape.tied_head = !gguf.HasTensor("output.weight");
  shape.qkv_bias = gguf.HasTensor("blk.0.attn_q.bias");
  if (absl::Status status = CheckShape(shape, gguf.path()); !status.ok()) return status;
  if (absl::Status status = ReadGgufRope(gguf, prefix, shape); !status.ok()) return status;
  return shape;
}

absl::StatusOr<LanguageModelShape> ShapeFromConfig(absl::string_view json, const std::string& path) {
  const Json config = Json::parse(json.begin(), json.end(), nullptr, /*allow_exceptions=*/false);
  if (!config.is_object()) return absl::DataLossError(absl::StrCat(path, ": not a JSON object"));
  if (!config.contains("model_type") || !config["model_type"].is_string()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": 'model_type' is not a string"));
  }
  LanguageModelShape shape;
  shape.architecture = config["model_type"].get<std::string>();
  if (shape.architecture != "llama" && shape.architecture != "qwen2" && shape.architecture != "baichuan") {
    return Unsupported(path, absl::StrCat("model_type '", shape.architecture,
                                          "' is not supported (llama, qwen2 and baichuan are)"));
  }
  if (absl::Status status = CheckConfigSettings(config, path); !status.ok()) return status;
  shape.name = shape.architecture;
  if (config.contains("_name_or_path") && config["_name_or_path"].is_string() &&
      !config["_name_or_path"].get_ref<const std::string&>().empty()) {
    shape.name = config["_name_or_path"].get<std::string>();
  }
  Extents extents(path, [&](absl::string_view key) -> absl::StatusOr<int64_t> {
    const auto found = config.find(std::string(key));
    if (found == config.end() || !found->is_number_integer()) {
      return absl::InvalidArgumentError(absl::StrCat(path, ": '", key, "' is not a whole number"));
    }
    return found->get<int64_t>();
  });
  const auto given = [&](const char* key) { return config.contains(key) && !config[key].is_null(); };
  shape.layers = extents.Read("num_hidden_layers");
  shape.hidden = extents.Read("hidden_size");
  shape.ffn = extents.Read("intermediate_size");
  shape.heads = extents.Read("num_attention_heads");
  shape.kv_heads = given("num_key_value_heads") ? extents.Read("num_key_value_heads") : shape.heads;
  shape.head_dim = given("head_dim") ? extents.Read("head_dim") : shape.hidden / shape.heads;
  shape.vocabulary = extents.Read("vocab_size", kMaxVocabulary);
  shape.context_tokens = extents.Read("max_position_embeddings", kMaxContext);
  if (!extents.status().ok()) return extents.status();
  if (shape.head_dim < 1)
    return absl::InvalidArgumentError(absl::StrCat(path, ": impossible shape: no head"));
  const absl::StatusOr<double> epsilon = Positive(config, "rms_norm_eps", path);
  if (!epsilon.ok()) return epsilon.status();
  shape.rms_epsilon = static_cast<float>(*epsilon);
  shape.tied_head = config.contains("tie_word_embeddings") && config["tie_word_embeddings"] == true;
  if (absl::Status status = CheckShape(shape, path); !status.ok()) return status;
  if (absl::Status status = ReadConfigRope(config, path, shape); !status.ok()) return status;
  return shape;
}

}  // namespace parley::engine::bundle
