#include "engine/text/byte_pair_encoding.h"

#include <algorithm>
#include <limits>

#include "absl/container/inlined_vector.h"
#include "absl/strings/str_cat.h"
#include "engine/text/utf8.h"

namespace parley::engine::text {
namespace {

uint64_t PairKey(TokenId left, TokenId right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

struct ByteAlphabet {
  std::array<char32_t, 256> of_byte{};
  std::array<int16_t, 0x200> to_byte{};

  ByteAlphabet() {
    to_byte.fill(-1);
    char32_t next = 0x100;
    for (int byte = 0; byte < 256; ++byte) {
      const bool printable = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
      of_byte[byte] = printable ? static_cast<char32_t>(byte) : next++;
      to_byte[of_byte[byte]] = static_cast<int16_t>(byte);
    }
  }
};

const ByteAlphabet& Alphabet() {
  static const ByteAlphabet* const alphabet = new ByteAlphabet;
  return *alphabet;
}

}  // namespace

std::string BytesToByteAlphabet(absl::string_view bytes) {
  std::string name;
  for (const char byte : bytes) AppendUtf8(Alphabet().of_byte[static_cast<uint8_t>(byte)], &name);
  return name;
}

bool ByteAlphabetToBytes(absl::string_view name, std::string* bytes) {
  bytes->clear();
  while (!name.empty()) {
    const Utf8Unit unit = NextUtf8Unit(name);
    if (unit.kind != Utf8Unit::kCharacter || unit.code_point >= Alphabet().to_byte.size()) return false;
    const int16_t byte = Alphabet().to_byte[unit.code_point];
    if (byte < 0) return false;
    bytes->push_back(static_cast<char>(byte));
    name.remove_prefix(unit.size);
  }
  return true;
}

absl::StatusOr<BytePairEncoding> BytePairEncoding::Create(const Vocabulary& vocabulary,
                                                          absl::Span<const std::string> merges) {
  const auto find = [&](absl::string_view name) {
    const auto found = vocabulary.find(name);
    return found == vocabulary.end() ? -1 : found->second;
  };
  BytePairEncoding encoding;
  for (int byte = 0; byte < 256; ++byte) {
    encoding.byte_tokens_[byte] = find(BytesToByteAlphabet(std::string(1, static_cast<char>(byte))));
  }
  encoding.merges_.reserve(merges.size());
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const std::string& merge = merges[rank];
    const size_t space = merge.find(' ');
    if (space == std::string::npos) {
      return absl::InvalidArgumentError(absl::StrCat("merge ", rank, " is not two tokens: '", merge, "'"));
    }
    const absl::string_view left(merge.data(), space);
    const absl::string_view right(merge.data() + space + 1, merge.size() - space - 1);
    const Merge entry{static_cast<int32_t>(rank), find(absl::StrCat(std::string(left), std::string(right)))};
    const TokenId left_id = find(left), right_id = find(right);
    if (left_id < 0 || right_id < 0 || entry.merged < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("merge ", rank, " ('", merge, "') names a token that the vocabulary lacks"));
    }
    encoding.merges_.try_emplace(PairKey(left_id, right_id), entry);
  }
  return encoding;
}

void BytePairEncoding::Encode(absl::string_view piece, std::vector<TokenId>* out) const {
  // A doubly linked list of symbols in an array; candidates in a heap, stale ones told by their tokens.
  struct Symbol {
    TokenId token;
    int32_t previous;
    int32_t next;
  };
  struct Candidate {
    int32_t rank;
    int32_t left;  // index of the left symbol
    TokenId left_token;
    TokenId right_token;
    TokenId merged;
    // The heap's top is the lowest rank, then the leftmost.
    bool operator<(const Candidate& other) const {
      return rank != other.rank ? rank > other.rank : left > other.left;
    }
  };
  absl::InlinedVector<Symbol, 64> symbols;
  absl::InlinedVector<Candidate, 64> heap;
  for (const char byte : piece) {
    const TokenId token = byte_tokens_[static_cast<uint8_t>(byte)];
    if (token < 0) continue;
    const auto index = static_cast<int32_t>(symbols.size());
    symbols.push_back({token, index - 1, index + 1});
  }
  if (symbols.empty()) return;
  symbols.back().next = -1;

  const auto consider = [&](int32_t left) {
    if (left < 0 || symbols[left].next < 0) return;
    const TokenId left_token = symbols[left].token;
    const TokenId right_token = symbols[symbols[left].next].token;
    const auto found = merges_.find(PairKey(left_token, right_token));
    if (found == merges_.end()) return;
    heap.push_back({found->second.rank, left, left_token, right_token, found->second.merged});
    std::push_heap(heap.begin(), heap.end());
  };
  for (int32_t i = 0; i + 1 < static_cast<int32_t>(symbols.size()); ++i) consider(i);

  while (!heap.empty()) {
    const Candidate best = heap.front();
    std::pop_heap(heap.begin(), heap.end());
    heap.pop_back();
    Symbol& left = symbols[best.left];
    if (left.token != best.left_token || left.next < 0 || symbols[left.next].token != best.right_token)
      continue;
    Symbol& right = symbols[left.next];
    left.token = best.merged;
    left.next = right.next;
    right.token = -1;
    if (left.next >= 0) symbols[left.next].previous = best.left;
    consider(left.previous);
    consider(best.left);
  }
  for (int32_t i = 0; i >= 0; i = symbols[i].next) out->push_back(symbols[i].token);
}

}  // namespace parley::engine::text
