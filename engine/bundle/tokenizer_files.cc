#include "engine/bundle/tokenizer_files.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/bundle/mapped_file.h"
#include "nlohmann/json.hpp"

namespace parley::engine::bundle {
namespace {

using Json = nlohmann::json;
using text::TokenizerData;
using text::TokenKind;

// Larger than any vocabulary that is meant: an id is an index.
constexpr int64_t kMaxTokenId = 1 << 21;

const Json kNull;

// The member, or null where there is none or `json` is no object.
const Json& Member(const Json& json, const char* key) {
  if (!json.is_object()) return kNull;
  const auto found = json.find(key);
  return found == json.end() ? kNull : *found;
}
bool IsType(const Json& json, absl::string_view type) {
  const Json& stated = Member(json, "type");
  return stated.is_string() && absl::string_view(stated.get_ref<const std::string&>()) == type;
}

// The splitting expressions that tokenizer.json files carry, and the name that engine/text has for each.
constexpr absl::string_view kLlama3Split =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr absl::string_view kQwen2Split =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

// Empty when it is none of those that are known.
std::string PreTokenizerName(const Json& pre_tokenizer) {
  if (IsType(pre_tokenizer, "ByteLevel")) return "gpt-2";
  const Json& steps = Member(pre_tokenizer, "pretokenizers");
  if (!IsType(pre_tokenizer, "Sequence") || !steps.is_array() || steps.size() != 2 ||
      !IsType(steps[1], "ByteLevel")) {
    return "";
  }
  if (IsType(steps[0], "Digits")) return Member(steps[0], "individual_digits") == true ? "smollm" : "";
  const Json& pattern = Member(Member(steps[0], "pattern"), "Regex");
  if (!IsType(steps[0], "Split") || !pattern.is_string()) return "";
  const absl::string_view expression = pattern.get_ref<const std::string&>();
  if (expression == kLlama3Split) return "llama-bpe";
  if (expression == kQwen2Split) return "qwen2";
  return "";
}

// llama.cpp's other names for the pre-tokenizers that engine/text knows.
std::string CanonicalPreTokenizer(std::string name) {
  if (name.empty()) return "gpt-2";
  if (name == "llama3" || name == "llama-v3") return "llama-bpe";
  if (name == "deepseek-r1-qwen") return "qwen2";
  return name;
}

absl::Status PutToken(int64_t id, const std::string& token, TokenKind kind, TokenizerData& data) {
  if (id < 0 || id >= kMaxTokenId)
    return absl::InvalidArgumentError(absl::StrCat("token id ", id, " is out of range"));
  const size_t index = static_cast<size_t>(id);
  if (index >= data.tokens.size()) {
    data.tokens.resize(index + 1);
    data.kinds.resize(index + 1, TokenKind::kUnused);
  }
  data.tokens[index] = token;
  data.kinds[index] = kind;
  return absl::OkStatus();
}

absl::Status ReadMerges(const Json& merges, TokenizerData& data) {
  for (const Json& merge : merges) {
    if (merge.is_string()) {
      data.merges.push_back(merge.get<std::string>());
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      data.merges.push_back(
          absl::StrCat(merge[0].get_ref<const std::string&>(), " ", merge[1].get_ref<const std::string&>()));
    } else {
      return absl::InvalidArgumentError("a merge is neither a string nor a pair of strings");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<TokenizerData> ReadTokenizerJson(const Json& root) {
  const Json& model = Member(root, "model");
  const Json& vocabulary = Member(model, "vocab");
  const Json& merges = Member(model, "merges");
  // Files of before the type was written down are BPE where they have merges.
  if (!IsType(model, "BPE") && !(Member(model, "type").is_null() && merges.is_array())) {
    return absl::UnimplementedError("the model is not BPE");
  }
  if (Member(model, "byte_fallback") == true) {
    return absl::UnimplementedError("SentencePiece with byte fallback is read from GGUF only");
  }
  if (!vocabulary.is_object() || !merges.is_array()) {
    return absl::InvalidArgumentError("'model.vocab' or 'model.merges' is missing");
  }
  TokenizerData data;
  data.model = "gpt2";
  data.pre_tokenizer = PreTokenizerName(Member(root, "pre_tokenizer"));
  if (data.pre_tokenizer.empty()) {
    return absl::UnimplementedError(absl::StrCat(
        "pre-tokenizer ", Member(root, "pre_tokenizer").dump(-1, ' ', false, Json::error_handler_t::replace),
        " is not known (those of GPT-2, SmolLM2, Llama 3 and Qwen2 are)"));
  }
  for (const auto& [token, id] : vocabulary.items()) {
    if (!id.is_number_integer())
      return absl::InvalidArgumentError("an id in 'model.vocab' is not a whole number");
    if (absl::Status status = PutToken(id.get<int64_t>(), token, TokenKind::kNormal, data); !status.ok())
      return status;
  }
  if (absl::Status status = ReadMerges(merges, data); !status.ok()) return status;

  const Json& added = Member(root, "added_tokens");
  for (const Json& token : added.is_array() ? added : Json::array()) {
    const Json& id = Member(token, "id");
    const Json& content = Member(token, "content");
    if (!id.is_number_integer() || !content.is_string()) {
      return absl::InvalidArgumentError("an entry of 'added_tokens' lacks id or content");
    }
    const TokenKind kind = Member(token, "special") == true ? TokenKind::kControl : TokenKind::kUserDefined;
    if (absl::Status status = PutToken(id.get<int64_t>(), content.get<std::string>(), kind, data);
        !status.ok()) {
      return status;
    }
  }
  return data;
}

// The JSON object in a file that may be missing; null then.
absl::StatusOr<Json> ReadOptionalJson(const std::string& path) {
  const absl::StatusOr<std::string> text = ReadTextFile(path);
  if (absl::IsNotFound(text.status())) return Json();
  if (!text.ok()) return text.status();
  Json json = Json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return absl::DataLossError(absl::StrCat(path, ": not a JSON object"));
  return json;
}

// tokenizer_config.json writes a token as its name, or as an object that holds it.
TokenId NamedToken(const Json& value, const TokenizerData& data) {
  const Json& name = value.is_object() ? Member(value, "content") : value;
  if (!name.is_string()) return -1;
  for (size_t id = data.tokens.size(); id-- > 0;) {  // special tokens stand at the end
    if (data.tokens[id] == name.get_ref<const std::string&>()) return static_cast<TokenId>(id);
  }
  return -1;
}

// generation_config.json writes an id, or several.
TokenId NumberedToken(const Json& value, const TokenizerData& data) {
  const Json& id = value.is_array() && !value.empty() ? value[0] : value;
  if (!id.is_number_integer()) return -1;
  const int64_t number = id.get<int64_t>();
  return number >= 0 && number < static_cast<int64_t>(data.tokens.size()) ? static_cast<TokenId>(number) : -1;
}

// Whether tokenizer.json's post-processor puts a token before every text.
bool PostProcessorAddsBos(const Json& post_processor) {
  if (IsType(post_processor, "Sequence")) {
    const Json& steps = Member(post_processor, "processors");
    for (const Json& step : steps.is_array() ? steps : Json::array()) {
      if (PostProcessorAddsBos(step)) return true;
    }
    return false;
  }
  const Json& single = Member(post_processor, "single");
  return IsType(post_processor, "TemplateProcessing") && single.is_array() && !single.empty() &&
         !Member(single[0], "SpecialToken").is_null();
}

std::string ChatTemplate(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_array()) return "";
  for (const Json& named : value) {
    const Json& text = Member(named, "template");
    if (Member(named, "name") == "default" && text.is_string()) return text.get<std::string>();
  }
  return "";
}

absl::Status Located(const absl::Status& status, const std::string& path) {
  return status.ok() ? status : absl::Status(status.code(), absl::StrCat(path, ": ", status.message()));
}

// `add_bos` as the post-processor says, `bos` and `eos` not yet known.
absl::StatusOr<TokenizerData> ReadTokenizerText(absl::string_view json, const std::string& path) {
  const Json root = Json::parse(json.begin(), json.end(), nullptr, /*allow_exceptions=*/false);
  if (!root.is_object()) return absl::DataLossError(absl::StrCat(path, ": not a JSON object"));
  absl::StatusOr<TokenizerData> data = ReadTokenizerJson(root);
  if (!data.ok()) return Located(data.status(), path);
  data->add_bos = PostProcessorAddsBos(Member(root, "post_processor"));
  return data;
}

}  // namespace

absl::StatusOr<TokenizerData> TokenizerFromJson(absl::string_view json, const std::string& path) {
  absl::StatusOr<TokenizerData> data = ReadTokenizerText(json, path);
  if (data.ok()) data->add_bos = false;  // what `bos` is, other files say
  return data;
}

absl::StatusOr<TokenizerFiles> TokenizerFromFolder(const std::string& folder) {
  const std::string path = absl::StrCat(folder, "/tokenizer.json");
  const absl::StatusOr<std::string> text = ReadTextFile(path);
  if (!text.ok()) return text.status();
  absl::StatusOr<TokenizerData> data = ReadTokenizerText(*text, path);
  if (!data.ok()) return data.status();
  const absl::StatusOr<Json> config = ReadOptionalJson(absl::StrCat(folder, "/tokenizer_config.json"));
  if (!config.ok()) return config.status();
  const absl::StatusOr<Json> generation = ReadOptionalJson(absl::StrCat(folder, "/generation_config.json"));
  if (!generation.ok()) return generation.status();

  TokenizerFiles files;
  files.tokenizer = *std::move(data);
  TokenizerData& tokenizer = files.tokenizer;
  tokenizer.bos = NamedToken(Member(*config, "bos_token"), tokenizer);
  tokenizer.eos = NamedToken(Member(*config, "eos_token"), tokenizer);
  if (tokenizer.bos < 0) tokenizer.bos = NumberedToken(Member(*generation, "bos_token_id"), tokenizer);
  if (tokenizer.eos < 0) tokenizer.eos = NumberedToken(Member(*generation, "eos_token_id"), tokenizer);
  const Json& add_bos = Member(*config, "add_bos_token");
  if (add_bos.is_boolean()) tokenizer.add_bos = add_bos.get<bool>();
  if (tokenizer.bos < 0) tokenizer.add_bos = false;

  files.chat_template = ChatTemplate(Member(*config, "chat_template"));
  if (files.chat_template.empty()) {
    absl::StatusOr<std::string> jinja = ReadTextFile(absl::StrCat(folder, "/chat_template.jinja"));
    if (jinja.ok()) files.chat_template = *std::move(jinja);
  }
  return files;
}

absl::StatusOr<TokenizerFiles> TokenizerFromGguf(const Gguf& gguf) {
  TokenizerFiles files;
  TokenizerData& data = files.tokenizer;
  const absl::StatusOr<std::string> model = gguf.String("tokenizer.ggml.model");
  if (!model.ok()) return model.status();
  data.model = *model;
  data.pre_tokenizer = CanonicalPreTokenizer(gguf.String("tokenizer.ggml.pre").value_or(""));
  const absl::StatusOr<absl::Span<const std::string>> tokens = gguf.Strings("tokenizer.ggml.tokens");
  if (!tokens.ok()) return tokens.status();
  data.tokens.assign(tokens->begin(), tokens->end());

  if (gguf.HasKey("tokenizer.ggml.token_type")) {
    const absl::StatusOr<absl::Span<const int64_t>> kinds = gguf.Ints("tokenizer.ggml.token_type");
    if (!kinds.ok()) return kinds.status();
    for (int64_t kind : *kinds) {
      if (kind < 1 || kind > 6) {
        return absl::InvalidArgumentError(absl::StrCat(gguf.path(), ": token type ", kind, " is not known"));
      }
      data.kinds.push_back(static_cast<TokenKind>(kind));
    }
  }
  if (gguf.HasKey("tokenizer.ggml.merges")) {
    const absl::StatusOr<absl::Span<const std::string>> merges = gguf.Strings("tokenizer.ggml.merges");
    if (!merges.ok()) return merges.status();
    data.merges.assign(merges->begin(), merges->end());
  }
  if (gguf.HasKey("tokenizer.ggml.scores")) {
    const absl::StatusOr<absl::Span<const double>> scores = gguf.Floats("tokenizer.ggml.scores");
    if (!scores.ok()) return scores.status();
    for (double score : *scores) data.scores.push_back(static_cast<float>(score));
  }
  const auto id = [&](absl::string_view key) -> TokenId {
    const int64_t value = gguf.Int(key).value_or(-1);
    return value >= 0 && value < static_cast<int64_t>(data.tokens.size()) ? static_cast<TokenId>(value) : -1;
  };
  data.bos = id("tokenizer.ggml.bos_token_id");
  data.eos = id("tokenizer.ggml.eos_token_id");
  // SentencePiece models begin with `bos` unless their file says otherwise.
  data.add_bos = data.bos >= 0 && gguf.Bool("tokenizer.ggml.add_bos_token").value_or(data.model == "llama");
  data.add_space_prefix = gguf.Bool("tokenizer.ggml.add_space_prefix").value_or(true);
  files.chat_template = gguf.String("tokenizer.chat_template").value_or("");
  return files;
}

absl::StatusOr<TokenizerFiles> ReadTokenizer(const LanguageModelFiles& files) {
  return files.gguf() != nullptr ? TokenizerFromGguf(*files.gguf()) : TokenizerFromFolder(files.path());
}

}  // namespace parley::engine::bundle
