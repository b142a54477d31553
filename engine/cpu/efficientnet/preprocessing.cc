#include "engine/cpu/efficientnet/preprocessing.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"

namespace parley::engine::cpu {
namespace {

constexpr int kSize = kEfficientNetSize;
constexpr size_t kLine = size_t{3} * kSize;  // of floats
constexpr int kRowsOfWork = 8;               // of one thread
constexpr std::array<float, 3> kMean = {0.485f, 0.456f, 0.406f};
constexpr std::array<float, 3> kDeviation = {0.229f, 0.224f, 0.225f};

// What one output pixel takes from the input, along one axis.
struct Taps {
  int first = 0;
  std::vector<float> weights;
};

// A triangle as wide as one output pixel (one input pixel, when enlarging), for outputs [offset, offset +
// kSize) of an axis that is resized from `in` to `out` pixels.
std::vector<Taps> TriangleTaps(int in, int out, int offset) {
  const double scale = static_cast<double>(in) / out;
  const double radius = std::max(scale, 1.0);
  std::vector<Taps> taps(kSize);
  for (int i = 0; i < kSize; ++i) {
    const double center = (i + offset + 0.5) * scale;
    const int begin = std::max(0, static_cast<int>(center - radius + 0.5));
    const int end = std::min(in, static_cast<int>(center + radius + 0.5));
    taps[i].first = begin;
    double sum = 0;
    for (int pixel = begin; pixel < end; ++pixel) {
      const double weight = std::max(0.0, 1 - std::abs((pixel + 0.5 - center) / radius));
      taps[i].weights.push_back(static_cast<float>(weight));
      sum += weight;
    }
    for (float& weight : taps[i].weights) weight = static_cast<float>(weight / sum);
  }
  return taps;
}

}  // namespace

absl::Status PreprocessForEfficientNet(const Image& image, kernels::ThreadTeam& team, absl::Span<float> out) {
  const int64_t width = image.width, height = image.height;
  if (width < 1 || height < 1 || static_cast<int64_t>(image.pixels.size()) != width * height * 3) {
    return absl::InvalidArgumentError(
        absl::StrCat("an image of ", width, "x", height, " with ", image.pixels.size(), " bytes"));
  }
  // The resized picture's other side is cut to whole pixels, as torchvision does.
  const int64_t shorter = std::min(width, height);
  const int resized_width = static_cast<int>(std::max<int64_t>(kSize, width * kSize / shorter));
  const int resized_height = static_cast<int>(std::max<int64_t>(kSize, height * kSize / shorter));
  // Halves go to the even neighbour, as in Python.
  const auto middle = [](int length) { return static_cast<int>(std::nearbyint((length - kSize) / 2.0)); };
  const std::vector<Taps> columns = TriangleTaps(image.width, resized_width, middle(resized_width));
  const std::vector<Taps> rows = TriangleTaps(image.height, resized_height, middle(resized_height));

  // Along rows first, for the input rows that the crop needs: [input rows, kSize, 3].
  const int first_row = rows.front().first;
  const int last_row = rows.back().first + static_cast<int>(rows.back().weights.size());
  std::vector<float> narrow(static_cast<size_t>(last_row - first_row) * kLine);
  team.For(last_row - first_row, kRowsOfWork, [&](int begin, int end) {
    for (int y = begin; y < end; ++y) {
      const uint8_t* line = image.pixels.data() + static_cast<size_t>(first_row + y) * width * 3;
      float* target = narrow.data() + static_cast<size_t>(y) * kLine;
      for (int x = 0; x < kSize; ++x, target += 3) {
        const uint8_t* pixel = line + static_cast<size_t>(columns[x].first) * 3;
        for (const float weight : columns[x].weights) {
          for (int channel = 0; channel < 3; ++channel) target[channel] += weight * pixel[channel];
          pixel += 3;
        }
      }
    }
  });
  team.For(kSize, kRowsOfWork, [&](int begin, int end) {
    float line[kLine];
    for (int y = begin; y < end; ++y) {
      std::fill_n(line, kLine, 0.0f);
      const float* source = narrow.data() + static_cast<size_t>(rows[y].first - first_row) * kLine;
      for (const float weight : rows[y].weights) {
        for (size_t i = 0; i < kLine; ++i) line[i] += weight * source[i];
        source += kLine;
      }
      float* const target = out.data() + static_cast<size_t>(y) * kLine;
      for (size_t i = 0; i < kLine; ++i) target[i] = (line[i] / 255 - kMean[i % 3]) / kDeviation[i % 3];
    }
  });
  return absl::OkStatus();
}

}  // namespace parley::engine::cpu
