#include "bench/speech_clips.h"

#include <algorithm>
#include <fstream>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "bench/wav.h"

namespace parley::bench {
namespace {

// So many words are allowed one that is not what was spoken; clips with fewer are written down exactly.
constexpr size_t kWordsForOneSlip = 25;

std::vector<std::string> Words(const std::string& text) {
  std::string plain;
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (absl::ascii_isalnum(byte) || byte >= 0x80 || c == '\'') {
      plain += absl::ascii_tolower(byte);
    } else {
      plain += ' ';
    }
  }
  return absl::StrSplit(plain, ' ', absl::SkipEmpty());
}

// Words to insert, drop or replace.
size_t Distance(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0]++;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row.back();
}

}  // namespace

absl::StatusOr<std::vector<Clip>> ReadClips(const SuiteOptions& options) {
  const std::string folder = options.peers_dir + "/speech";
  std::ifstream list(folder + "/speech_clips.tsv");
  std::vector<Clip> clips;
  for (std::string line; std::getline(list, line);) {
    const std::vector<std::string> fields = absl::StrSplit(line, '\t');
    if (fields.size() != 3) return absl::DataLossError(absl::StrCat(folder, "/speech_clips.tsv: ", line));
    Clip clip = {
        .name = fields[0], .path = absl::StrCat(folder, "/", fields[0], ".wav"), .spoken = fields[2]};
    absl::StatusOr<std::vector<float>> samples = ReadWav(clip.path);
    if (!samples.ok()) return samples.status();
    clip.samples = *std::move(samples);
    clips.push_back(std::move(clip));
  }
  if (clips.empty()) return absl::NotFoundError(absl::StrCat(folder, " has no clips"));
  return clips;
}

absl::Status CheckWords(const std::string& who, const Clip& clip, const std::string& transcript) {
  const std::vector<std::string> spoken = Words(clip.spoken);
  const size_t slips = Distance(Words(transcript), spoken);
  if (slips <= spoken.size() / kWordsForOneSlip) return absl::OkStatus();
  return absl::InternalError(absl::StrCat(who, " writes '", transcript, "' for ", clip.name, ", ", slips,
                                          " words of which were not spoken so: nothing is timed"));
}

}  // namespace parley::bench
