#include "engine/text/sentence_piece.h"

#include <algorithm>

#include "engine/text/utf8.h"

namespace parley::engine::text {

void SentencePiece::Encode(absl::string_view text, std::vector<TokenId>* out) const {
  struct Symbol {
    absl::string_view name;  // empty once merged into its left neighbour
    int previous;
    int next;
  };
  struct Candidate {
    float score;
    int left;
    size_t size;  // of both names together: tells a stale candidate
    bool operator<(const Candidate& other) const {
      return score != other.score ? score < other.score : left > other.left;
    }
  };
  std::vector<Symbol> symbols;
  for (size_t at = 0; at < text.size();) {
    const size_t size = NextUtf8Unit(text.substr(at)).size;
    const int index = static_cast<int>(symbols.size());
    symbols.push_back({text.substr(at, size), index - 1, index + 1});
    at += size;
  }
  if (symbols.empty()) return;
  symbols.back().next = -1;

  std::vector<Candidate> heap;
  const auto consider = [&](int left) {
    if (left < 0 || symbols[left].next < 0) return;
    // Neighbours lie side by side in `text`.
    const absl::string_view both(symbols[left].name.data(),
                                 symbols[left].name.size() + symbols[symbols[left].next].name.size());
    const auto found = vocabulary_.find(both);
    if (found == vocabulary_.end()) return;
    heap.push_back({scores_[found->second], left, both.size()});
    std::push_heap(heap.begin(), heap.end());
  };
  for (int i = 0; i + 1 < static_cast<int>(symbols.size()); ++i) consider(i);
  while (!heap.empty()) {
    const Candidate best = heap.front();
    std::pop_heap(heap.begin(), heap.end());
    heap.pop_back();
    Symbol& left = symbols[best.left];
    if (left.name.empty() || left.next < 0) continue;
    Symbol& right = symbols[left.next];
    if (left.name.size() + right.name.size() != best.size) continue;
    left.name = absl::string_view(left.name.data(), best.size);
    right.name = {};
    left.next = right.next;
    if (left.next >= 0) symbols[left.next].previous = best.left;
    consider(left.previous);
    consider(best.left);
  }
  for (int i = 0; i >= 0; i = symbols[i].next) {
    const auto found = vocabulary_.find(symbols[i].name);
    if (found != vocabulary_.end()) {
      out->push_back(found->second);
      continue;
    }
    for (const char byte : symbols[i].name) {
      const TokenId token = byte_tokens_[static_cast<uint8_t>(byte)];
      if (token >= 0) out->push_back(token);
    }
  }
}

}  // namespace parley::engine::text
