#include "engine/whisper/review.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "absl/strings/ascii.h"

namespace parley::engine::whisper {
namespace {

constexpr int kPositionsPerSecond = 50;
// A word is heard where this half-width around a position holds most of its attention, if it is so much.
constexpr int kHalfWidth = 5;
constexpr float kLeastAttention = 0.1f;
constexpr float kQuiet = 0.0025f;      // -26 dB of the loudest: no speech
constexpr float kAboveNoise = 4;       // speech is at least 6 dB louder than the quietest of the audio
constexpr int kLoudnessHalfWidth = 2;  // over which loudness is taken: 100 ms
// Of 158 clips the largest gap where nothing was skipped is 0.61 s, the smallest where something was 0.89 s.
constexpr float kLeastSkipSeconds = 0.75f;
constexpr int kLeastWords = 3;
constexpr int kMostWordsAfterMark = 2;
constexpr int kMostCutPositions = 45;  // from a word to the pause after it
constexpr int kBackPositions = 20;     // back so far is back indeed
constexpr int kSamePositions = 10;

// The speech of the audio up to each position, in seconds.
class Speech {
 public:
  explicit Speech(const Energies& energies) : seconds_(energies.size() + 1), loudness_(energies.size()) {
    const auto count = static_cast<int>(energies.size());
    for (int i = 0; i < count; ++i) {
      const int begin = std::max(0, i - kLoudnessHalfWidth),
                end = std::min(count, i + kLoudnessHalfWidth + 1);
      loudness_[i] = std::accumulate(energies.begin() + begin, energies.begin() + end, 0.0f) /
                     static_cast<float>(end - begin);
    }
    if (count == 0) return;
    std::vector<float> sorted = loudness_;
    std::sort(sorted.begin(), sorted.end());
    const float least = std::max(sorted.back() * kQuiet, sorted[sorted.size() / 20] * kAboveNoise);
    for (int i = 0; i < count; ++i) {
      seconds_[i + 1] = seconds_[i] + (loudness_[i] >= least ? 1.0f / kPositionsPerSecond : 0.0f);
    }
  }
  int positions() const { return static_cast<int>(loudness_.size()); }
  float Between(int begin, int end) const { return At(end) - At(begin); }
  // The quietest position of [begin, end), which is not empty; the first of several.
  int QuietestIn(int begin, int end) const {
    return static_cast<int>(std::min_element(loudness_.begin() + begin, loudness_.begin() + end) -
                            loudness_.begin());
  }

 private:
  float At(int position) const { return seconds_[std::clamp(position, 0, positions())]; }
  std::vector<float> seconds_;
  std::vector<float> loudness_;
};

bool IsSaid(const WrittenToken& token) {
  return token.kind == TokenKind::kWord || token.kind == TokenKind::kNumber;
}

bool IsHeard(const WrittenToken& token) { return IsSaid(token) && token.position >= 0; }

int CountHeard(absl::Span<const WrittenToken> tokens) {
  return static_cast<int>(std::count_if(tokens.begin(), tokens.end(), IsHeard));
}

// Tokens that echo earlier ones: the same words, heard at the same place.
std::vector<Review::Range> FindEchoes(absl::Span<const WrittenToken> tokens) {
  std::vector<size_t> said;  // places in tokens
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (IsSaid(tokens[i])) said.push_back(i);
  }
  std::vector<Review::Range> echoes;
  int furthest = -1;
  for (size_t i = 0; i < said.size(); ++i) {
    const int position = tokens[said[i]].position;
    if (position < 0) continue;
    if (position >= furthest - kBackPositions) {
      furthest = std::max(furthest, position);
      continue;
    }
    // The longest run of words that was written before.
    size_t begin = i, end = i, distance = 0;
    for (size_t earlier = 0; earlier < i; ++earlier) {
      const auto same = [&](size_t a, size_t b) {
        const WrittenToken& x = tokens[said[a]];
        const WrittenToken& y = tokens[said[b]];
        return x.text == y.text &&
               (x.position < 0 || y.position < 0 || std::abs(x.position - y.position) <= kSamePositions);
      };
      size_t length = 0;
      int heard = 0;
      while (i + length < said.size() && earlier + length < i && same(earlier + length, i + length)) {
        heard += tokens[said[i + length]].position >= 0 ? 1 : 0;
        ++length;
      }
      if (heard < kLeastWords || length <= end - i) continue;
      end = i + length;
      distance = i - earlier;
    }
    if (end == i) continue;
    while (begin > distance && end - begin < distance &&
           tokens[said[begin - 1]].text == tokens[said[begin - 1 - distance]].text) {
      --begin;
    }
    // And the words before it that were heard nowhere new, from the last mark on.
    size_t first = said[begin];
    while (first > 0 && (tokens[first - 1].kind == TokenKind::kTimestamp || IsSaid(tokens[first - 1])) &&
           tokens[first - 1].position < furthest - kHalfWidth) {
      --first;
    }
    const size_t last = end < said.size() ? said[end] : tokens.size();
    echoes.push_back({first, last});
    i = end - 1;
  }
  return echoes;
}

// Two words that follow each other, and the speech from the one to the other.
struct Gap {
  const WrittenToken* from;  // null: after it is the end
  const WrittenToken* to;
  float seconds;
};

float Letters(const WrittenToken* token) {
  return token == nullptr ? 0 : static_cast<float>(token->text.size());
}

// Seconds a letter takes, of the word before a gap and of the one after it half: the median over the gaps.
float Pace(absl::Span<const Gap> gaps) {
  std::vector<float> paces;
  for (const Gap& gap : gaps) {
    if (gap.to != nullptr && gap.seconds > 0)
      paces.push_back(2 * gap.seconds / (Letters(gap.from) + Letters(gap.to)));
  }
  if (paces.empty()) return 0;
  const auto middle = paces.begin() + static_cast<ptrdiff_t>(paces.size() / 2);
  std::nth_element(paces.begin(), middle, paces.end());
  return *middle;
}

std::optional<Review::Skip> FindSkip(absl::Span<const WrittenToken> tokens, const Speech& speech) {
  std::vector<Gap> gaps;
  const WrittenToken* last = nullptr;
  const auto add_gap = [&](const WrittenToken* to, int position) {
    if (last != nullptr) gaps.push_back({last, to, std::max(0.0f, speech.Between(last->position, position))});
  };
  for (const WrittenToken& token : tokens) {
    if (!IsHeard(token)) continue;
    if (last != nullptr && token.position < last->position) continue;
    add_gap(&token, token.position);
    last = &token;
  }
  if (CountHeard(tokens) < kLeastWords) return std::nullopt;
  add_gap(nullptr, speech.positions());
  const float pace = Pace(gaps);
  for (const Gap& gap : gaps) {
    if (gap.from->kind == TokenKind::kNumber || (gap.to != nullptr && gap.to->kind == TokenKind::kNumber))
      continue;
    if (gap.seconds - pace * (Letters(gap.from) + Letters(gap.to)) / 2 < kLeastSkipSeconds) continue;
    // A word or two of what comes next may have been heard at the beginning of what was left out: the text is
    // kept up to the mark before them.
    const WrittenToken* kept = gap.from;
    const WrittenToken* end = gap.from + 1;
    const WrittenToken* mark = gap.to == nullptr ? tokens.end() : gap.to;
    int words_after = 0;
    while (mark != tokens.begin() && words_after <= kMostWordsAfterMark) {
      --mark;
      if (mark->kind == TokenKind::kMark) break;
      words_after += IsSaid(*mark) ? 1 : 0;
    }
    if (mark->kind == TokenKind::kMark) {
      while (kept > mark || !IsHeard(*kept)) {
        if (kept == tokens.begin()) break;
        --kept;
      }
      end = mark + 1;
    } else if (CountHeard(tokens.first(end - tokens.begin())) < kLeastWords) {
      continue;  // a word that begins the sentence, heard in a cough before it
    }
    if (!IsHeard(*kept)) continue;
    const int gap_end = gap.to == nullptr ? speech.positions() : gap.to->position;
    const int from = kept->position + kHalfWidth;
    int to = std::min(kept->position + kMostCutPositions, gap_end);
    while (to > from && speech.Between(to, gap_end) < kLeastSkipSeconds / 2) --to;
    if (from >= to) continue;
    const auto count = static_cast<size_t>(end - tokens.begin());
    return Review::Skip{count, speech.QuietestIn(from, to), CountHeard(tokens.subspan(count))};
  }
  return std::nullopt;
}

}  // namespace

TokenKind KindOfText(absl::string_view text) {
  for (const absl::string_view wide : {"。", "？", "！", "，", "、"}) {
    if (text == wide) return TokenKind::kMark;
  }
  TokenKind kind = TokenKind::kMark;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (absl::ascii_isdigit(byte) || c == '$' || c == '%') return TokenKind::kNumber;
    if (absl::ascii_isalpha(byte) || byte >= 0x80) kind = TokenKind::kWord;
  }
  return kind;
}

void Locate(absl::Span<const float> attention, int positions, absl::Span<WrittenToken> tokens) {
  // Some positions get attention from every token: what they have in common says nothing of where one is.
  std::vector<float> common(positions);
  int rows = 0;
  for (size_t t = 0; t < tokens.size(); ++t) {
    if (tokens[t].kind == TokenKind::kTimestamp) continue;
    ++rows;
    for (int i = 0; i < positions; ++i) common[i] += attention[t * positions + i];
  }
  std::vector<float> sums(positions + 1);
  for (size_t t = 0; t < tokens.size(); ++t) {
    if (tokens[t].kind == TokenKind::kTimestamp) continue;
    for (int i = 0; i < positions; ++i) {
      sums[i + 1] =
          sums[i] + std::max(0.0f, attention[t * positions + i] - common[i] / static_cast<float>(rows));
    }
    float most = 0;
    for (int i = 0; i < positions; ++i) {
      const float sum = sums[std::min(positions, i + kHalfWidth + 1)] - sums[std::max(0, i - kHalfWidth)];
      if (sum > most) {
        most = sum;
        tokens[t].position = i;
      }
    }
    if (most < kLeastAttention) tokens[t].position = -1;
  }
}

Review ReviewTokens(absl::Span<const WrittenToken> tokens, const Energies& energies) {
  Review review;
  review.echoes = FindEchoes(tokens);
  review.skip = FindSkip(tokens, Speech(energies));
  review.words = static_cast<int>(std::count_if(tokens.begin(), tokens.end(), IsSaid));
  review.heard = CountHeard(tokens);
  for (const auto& [first, last] : review.echoes)
    review.heard -= CountHeard(tokens.subspan(first, last - first));
  return review;
}

}  // namespace parley::engine::whisper
