#include "engine/text/tokenizer.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "engine/text/byte_pair_encoding.h"
#include "engine/text/pre_tokenizer.h"
#include "engine/text/sentence_piece.h"
#include "engine/text/utf8.h"

namespace parley::engine::text {
namespace {

// "<0x41>" to 0x41; -1 for another name.
int ByteOfName(absl::string_view name) {
  if (name.size() != 6 || name.substr(0, 3) != "<0x" || name[5] != '>') return -1;
  int byte = 0;
  for (const char c : name.substr(3, 2)) {
    const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
    if (digit < 0) return -1;
    byte = byte * 16 + digit;
  }
  return byte;
}

}  // namespace

struct Tokenizer::Impl {
  std::vector<std::string> bytes;  // by id, what Decode gives
  std::vector<TokenKind> kinds;
  absl::flat_hash_map<std::string, TokenId> by_name;
  // Names that SpecialTokens::kAllow recognises, by their first byte, the longest first.
  std::array<std::vector<std::pair<std::string, TokenId>>, 256> special_names;
  TokenId bos = -1;
  TokenId eos = -1;
  bool add_bos = false;

  // Byte-level BPE, else null.
  std::unique_ptr<PreTokenizer> pre_tokenizer;
  std::unique_ptr<BytePairEncoding> bpe;
  // SentencePiece, else null.
  std::unique_ptr<SentencePiece> sentence_piece;
  bool add_space_prefix = false;

  absl::Status LoadByteLevel(const TokenizerData& data);
  absl::Status LoadSentencePiece(const TokenizerData& data);
  // A text without special tokens; `first`: nothing of the whole text stands before it.
  void EncodeText(absl::string_view text, bool first, std::vector<TokenId>* out) const;
};

absl::Status Tokenizer::Impl::LoadByteLevel(const TokenizerData& data) {
  absl::StatusOr<std::unique_ptr<PreTokenizer>> split = PreTokenizer::Create(data.pre_tokenizer);
  if (!split.ok()) return split.status();
  pre_tokenizer = *std::move(split);
  absl::StatusOr<BytePairEncoding> merged = BytePairEncoding::Create(by_name, data.merges);
  if (!merged.ok()) return merged.status();
  bpe = std::make_unique<BytePairEncoding>(*std::move(merged));
  for (size_t id = 0; id < data.tokens.size(); ++id) {
    if (kinds[id] != TokenKind::kNormal || !ByteAlphabetToBytes(data.tokens[id], &bytes[id])) {
      bytes[id] = data.tokens[id];  // added tokens are written as they are
    }
  }
  return absl::OkStatus();
}

absl::Status Tokenizer::Impl::LoadSentencePiece(const TokenizerData& data) {
  if (data.scores.size() != data.tokens.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("tokenizer has ", data.tokens.size(), " tokens and ", data.scores.size(), " scores"));
  }
  std::array<TokenId, 256> byte_tokens;
  byte_tokens.fill(-1);
  SentencePiece::Vocabulary normal;
  for (size_t id = 0; id < data.tokens.size(); ++id) {
    const std::string& name = data.tokens[id];
    if (kinds[id] == TokenKind::kByte) {
      const int byte = ByteOfName(name);
      if (byte < 0)
        return absl::InvalidArgumentError(absl::StrCat("byte token ", id, " is named '", name, "'"));
      byte_tokens[byte] = static_cast<TokenId>(id);
      bytes[id] = std::string(1, static_cast<char>(byte));
      continue;
    }
    if (kinds[id] == TokenKind::kNormal) normal.try_emplace(name, static_cast<TokenId>(id));
    bytes[id] = absl::StrReplaceAll(name, {{kSentencePieceSpace, " "}});
  }
  sentence_piece = std::make_unique<SentencePiece>(std::move(normal), data.scores, byte_tokens);
  add_space_prefix = data.add_space_prefix;
  return absl::OkStatus();
}

void Tokenizer::Impl::EncodeText(absl::string_view text, bool first, std::vector<TokenId>* out) const {
  if (sentence_piece != nullptr) {
    std::string spaced(first && add_space_prefix && !text.empty() ? kSentencePieceSpace : "");
    absl::StrAppend(&spaced, absl::StrReplaceAll(text, {{" ", kSentencePieceSpace}}));
    sentence_piece->Encode(spaced, out);
    return;
  }
  const auto merge = [&](absl::string_view piece) {
    if (pre_tokenizer->whole_pieces_first()) {
      const auto whole = by_name.find(BytesToByteAlphabet(piece));
      if (whole != by_name.end() && kinds[whole->second] == TokenKind::kNormal) {
        out->push_back(whole->second);
        return;
      }
    }
    bpe->Encode(piece, out);
  };
  // Stretches of UTF-8 and of other bytes, by turns.
  size_t begin = 0;
  size_t at = 0;
  bool valid = true;
  const auto flush = [&] {
    if (at == begin) return;
    if (valid) {
      pre_tokenizer->Split(text.substr(begin, at - begin), merge);
    } else {
      bpe->Encode(text.substr(begin, at - begin), out);
    }
    begin = at;
  };
  while (at < text.size()) {
    const Utf8Unit unit = NextUtf8Unit(text.substr(at));
    if ((unit.kind == Utf8Unit::kCharacter) != valid) {
      flush();
      valid = !valid;
    }
    at += unit.size;
  }
  flush();
}

Tokenizer::Tokenizer(std::unique_ptr<const Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::~Tokenizer() = default;

absl::StatusOr<std::unique_ptr<Tokenizer>> Tokenizer::Create(TokenizerData data) {
  if (data.tokens.empty() || data.tokens.size() > std::numeric_limits<TokenId>::max()) {
    return absl::InvalidArgumentError(absl::StrCat("tokenizer has ", data.tokens.size(), " tokens"));
  }
  const auto size = static_cast<TokenId>(data.tokens.size());
  if (!data.kinds.empty() && data.kinds.size() != data.tokens.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("tokenizer has ", size, " tokens and ", data.kinds.size(), " token types"));
  }
  if (data.bos < -1 || data.bos >= size || data.eos < -1 || data.eos >= size ||
      (data.add_bos && data.bos < 0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("tokenizer of ", size, " tokens with bos ", data.bos, " and eos ", data.eos));
  }
  auto impl = std::make_unique<Impl>();
  impl->kinds =
      data.kinds.empty() ? std::vector<TokenKind>(data.tokens.size(), TokenKind::kNormal) : data.kinds;
  impl->bytes.resize(data.tokens.size());
  impl->bos = data.bos;
  impl->eos = data.eos;
  impl->add_bos = data.add_bos;
  for (TokenId id = 0; id < size; ++id) {
    const std::string& name = data.tokens[id];
    impl->by_name.try_emplace(name, id);
    const TokenKind kind = impl->kinds[id];
    if ((kind == TokenKind::kControl || kind == TokenKind::kUserDefined) && !name.empty()) {
      impl->special_names[static_cast<uint8_t>(name[0])].emplace_back(name, id);
    }
  }
  for (auto& names : impl->special_names) {
    std::stable_sort(names.begin(), names.end(),
                     [](const auto& a, const auto& b) { return a.first.size() > b.first.size(); });
  }
  absl::Status status;
  if (data.model == "gpt2") {
    status = impl->LoadByteLevel(data);
  } else if (data.model == "llama") {
    status = impl->LoadSentencePiece(data);
  } else {
    status = absl::UnimplementedError(
        absl::StrCat("tokenizer model '", data.model, "' is not known; known: gpt2, llama"));
  }
  if (!status.ok()) return status;
  for (TokenId id = 0; id < size; ++id) {
    const TokenKind kind = impl->kinds[id];
    if (kind == TokenKind::kControl || kind == TokenKind::kUnused || kind == TokenKind::kUnknown) {
      impl->bytes[id].clear();
    }
  }
  return std::unique_ptr<Tokenizer>(new Tokenizer(std::move(impl)));
}

int Tokenizer::size() const { return static_cast<int>(impl_->bytes.size()); }
TokenId Tokenizer::bos() const { return impl_->bos; }
TokenId Tokenizer::eos() const { return impl_->eos; }
bool Tokenizer::add_bos() const { return impl_->add_bos; }

std::vector<TokenId> Tokenizer::Encode(absl::string_view text, SpecialTokens special) const {
  std::vector<TokenId> out;
  if (special == SpecialTokens::kRefuse) {
    impl_->EncodeText(text, true, &out);
    return out;
  }
  size_t begin = 0;
  for (size_t at = 0; at < text.size();) {
    const auto& names = impl_->special_names[static_cast<uint8_t>(text[at])];
    const auto found = std::find_if(names.begin(), names.end(), [&](const auto& name) {
      return text.compare(at, name.first.size(), name.first) == 0;
    });
    if (found == names.end()) {
      ++at;
      continue;
    }
    impl_->EncodeText(text.substr(begin, at - begin), begin == 0, &out);
    out.push_back(found->second);
    at += found->first.size();
    begin = at;
  }
  impl_->EncodeText(text.substr(begin), begin == 0, &out);
  return out;
}

absl::string_view Tokenizer::Decode(TokenId id) const {
  return id >= 0 && id < size() ? absl::string_view(impl_->bytes[id]) : absl::string_view();
}

std::string Tokenizer::DecodeAll(absl::Span<const TokenId> ids) const {
  std::string text;
  for (const TokenId id : ids) absl::StrAppend(&text, Decode(id));
  return text;
}

std::optional<TokenId> Tokenizer::Find(absl::string_view name) const {
  const auto found = impl_->by_name.find(name);
  if (found == impl_->by_name.end()) return std::nullopt;
  return found->second;
}

bool Tokenizer::IsControl(TokenId id) const {
  return id >= 0 && id < size() && impl_->kinds[id] == TokenKind::kControl;
}

}  // namespace parley::engine::text
