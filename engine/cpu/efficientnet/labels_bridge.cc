#include "engine/cpu/efficientnet/labels_bridge.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"

namespace parley::engine::cpu {
namespace {

// English, by spelling: good enough for ImageNet's labels ("an espresso", "jeans", "a trolleybus").
std::string WithArticle(absl::string_view label) {
  if (label.empty()) return "";
  const std::string lower = absl::AsciiStrToLower(label);
  const bool plural = absl::EndsWith(lower, "s") && !absl::EndsWith(lower, "ss") &&
                      !absl::EndsWith(lower, "us") && !absl::EndsWith(lower, "is");
  if (plural) return std::string(label);
  const bool vowel = absl::string_view("aeiou").find(lower[0]) != std::string_view::npos &&
                     !absl::StartsWith(lower, "uni") && !absl::StartsWith(lower, "eu");
  return absl::StrCat(vowel ? "an " : "a ", label);
}

}  // namespace

std::string DescribeLabels(const bundle::BundleManifest::VisionBridge& bridge,
                           absl::Span<const LabelProbability> labels) {
  std::vector<std::string> named;
  for (const LabelProbability& label : labels) {
    if (static_cast<int>(named.size()) == bridge.labels || label.probability < bridge.minimum) break;
    named.push_back(WithArticle(label.label));
  }
  if (named.empty()) return bridge.otherwise;
  return absl::StrReplaceAll(bridge.prompt_template, {{"{labels}", absl::StrJoin(named, ", ")}});
}

}  // namespace parley::engine::cpu
