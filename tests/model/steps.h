// Running a language model in tests: chunks of tokens in, scores out.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "engine/model/language_model.h"

namespace parley::engine {

// What a test runs of one sequence in a step.
struct Chunk {
  Sequence* sequence = nullptr;
  absl::Span<const TokenId> tokens;
  std::vector<float>* scores = nullptr;  // after the last of the tokens; null: not asked for
  absl::Span<const int> page_starts = {};
  absl::Span<const FeatureRows> features = {};
};

inline absl::Status RunStep(LanguageModel& model, absl::Span<const Chunk> chunks) {
  std::vector<RowRequest> requests;
  requests.reserve(chunks.size());
  std::vector<StepEntry> entries;
  for (const Chunk& chunk : chunks) {
    StepEntry entry = {.sequence = chunk.sequence,
                       .tokens = chunk.tokens,
                       .page_starts = chunk.page_starts,
                       .features = chunk.features};
    if (chunk.scores != nullptr) {
      requests.push_back({.row = static_cast<int>(chunk.tokens.size()) - 1, .scores = chunk.scores});
      entry.requests = absl::MakeConstSpan(&requests.back(), 1);
    }
    entries.push_back(entry);
  }
  return model.Step(entries);
}

inline std::vector<float> RunChunk(LanguageModel& model, Sequence* sequence, absl::Span<const TokenId> tokens,
                                   absl::Span<const int> page_starts = {}) {
  std::vector<float> logits;
  const absl::Status status = RunStep(model, {{sequence, tokens, &logits, page_starts}});
  EXPECT_TRUE(status.ok()) << status;
  return logits;
}

// The scores after each token of `ids`, given those before it.
inline std::vector<std::vector<float>> RunEachToken(LanguageModel& model, absl::Span<const TokenId> ids) {
  const std::unique_ptr<Sequence> cache = *model.NewSequence();
  std::vector<std::vector<float>> rows;
  for (size_t i = 0; i < ids.size(); ++i) rows.push_back(RunChunk(model, cache.get(), ids.subspan(i, 1)));
  return rows;
}

inline TokenId Best(const std::vector<float>& logits) {
  return static_cast<TokenId>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

// The scores after the last token of every chunk, in one step: chunks[i] goes to sequences[i]. None for an
// empty one.
inline std::vector<std::vector<float>> RunChunks(LanguageModel& model,
                                                 absl::Span<const std::unique_ptr<Sequence>> sequences,
                                                 absl::Span<const std::vector<TokenId>> chunks) {
  std::vector<std::vector<float>> logits(chunks.size());
  std::vector<Chunk> entries;
  for (size_t i = 0; i < chunks.size(); ++i) {
    if (!chunks[i].empty()) entries.push_back({sequences[i].get(), chunks[i], &logits[i]});
  }
  const absl::Status status = RunStep(model, entries);
  EXPECT_TRUE(status.ok()) << status;
  return logits;
}

inline std::vector<std::unique_ptr<Sequence>> NewSequences(LanguageModel& model, size_t count) {
  std::vector<std::unique_ptr<Sequence>> sequences(count);
  for (auto& sequence : sequences) sequence = *model.NewSequence();
  return sequences;
}

// `tokens` greedy tokens after each of the sequences, whose last scores are `logits`: a token of each a step.
inline std::vector<std::vector<TokenId>> Greedy(LanguageModel& model,
                                                absl::Span<const std::unique_ptr<Sequence>> sequences,
                                                std::vector<std::vector<float>> logits, int tokens) {
  std::vector<std::vector<TokenId>> answers(sequences.size());
  std::vector<std::vector<TokenId>> next(sequences.size());
  for (int token = 0; token < tokens; ++token) {
    if (token > 0) logits = RunChunks(model, sequences, next);
    for (size_t i = 0; i < next.size(); ++i) {
      next[i] = {Best(logits[i])};
      answers[i].push_back(next[i][0]);
    }
  }
  return answers;
}

}  // namespace parley::engine
