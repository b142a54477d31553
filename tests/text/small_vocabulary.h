// A byte-level vocabulary for tests: 256 bytes, role tokens, and what the merges make.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "engine/text/byte_pair_encoding.h"
#include "engine/text/tokenizer.h"

namespace parley::engine::text {

inline TokenizerData SmallVocabulary(const std::string& pre_tokenizer = "gpt-2",
                                     const std::vector<std::pair<std::string, std::string>>& merges = {}) {
  TokenizerData data;
  data.pre_tokenizer = pre_tokenizer;
  for (int byte = 0; byte < 256; ++byte) {
    data.tokens.push_back(BytesToByteAlphabet(std::string(1, static_cast<char>(byte))));
  }
  data.kinds.assign(256, TokenKind::kNormal);
  for (const char* name : {"<|im_start|>", "<|im_end|>", "<|eot_id|>", "<|start_header_id|>",
                           "<|end_header_id|>", "<s>", "</s>", "<|im_start|>x"}) {
    data.tokens.push_back(name);
    data.kinds.push_back(TokenKind::kControl);
  }
  for (const auto& [left, right] : merges) {
    data.tokens.push_back(BytesToByteAlphabet(left + right));
    data.kinds.push_back(TokenKind::kNormal);
    data.merges.push_back(BytesToByteAlphabet(left) + " " + BytesToByteAlphabet(right));
  }
  data.eos = 257;
  return data;
}

}  // namespace parley::engine::text
