#include "engine/cpu/efficientnet/efficientnet.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/cpu/efficientnet/convolution.h"
#include "engine/cpu/efficientnet/preprocessing.h"
#include "engine/cpu/float_reader.h"
#include "engine/kernels/elementwise.h"

namespace parley::engine::cpu {
namespace {

constexpr int kStemChannels = 32;
constexpr int kHeadChannels = 1280;

// A stage of mobile inverted bottlenecks: the first block strides, all others keep the shape.
struct Stage {
  int expansion, channels, kernel, stride, blocks;
};
constexpr Stage kStages[] = {{1, 16, 3, 1, 1},  {6, 24, 3, 2, 2},  {6, 40, 5, 2, 2}, {6, 80, 3, 2, 3},
                             {6, 112, 5, 1, 3}, {6, 192, 5, 2, 4}, {6, 320, 3, 1, 1}};

struct Block {
  bool expands = false;
  bool residual = false;
  Pointwise expand;
  Depthwise depthwise;
  Pointwise project;
};

}  // namespace

struct EfficientNet::Network {
  Network(FloatReader* reader, int classes, int threads);
  // pixels: [kEfficientNetSize, kEfficientNetSize, 3] -> [classes]
  std::vector<float> operator()(const float* pixels);

  kernels::ThreadTeam team;
  Stem stem;
  std::vector<Block> blocks;
  Pointwise head;
  kernels::FloatLinear classifier;

  FeatureMap x, wide, narrowed, projected;  // of the picture under way
};

EfficientNet::Network::Network(FloatReader* reader, int classes, int threads)
    : team(threads), stem(reader, "_conv_stem", "_bn0", kStemChannels, 3) {
  int channels = kStemChannels;
  for (const Stage& stage : kStages) {
    for (int i = 0; i < stage.blocks; ++i) {
      const std::string name = absl::StrCat("_blocks.", blocks.size(), ".");
      const int stride = i == 0 ? stage.stride : 1;
      const int expanded = channels * stage.expansion;
      Block& block = blocks.emplace_back();
      block.expands = stage.expansion != 1;
      if (block.expands) {
        block.expand = Pointwise(reader, name + "_expand_conv", name + "_bn0", expanded, channels);
      }
      block.depthwise =
          Depthwise(reader, name + "_depthwise_conv", name + "_bn1", expanded, stage.kernel, stride);
      block.project = Pointwise(reader, name + "_project_conv", name + "_bn2", stage.channels, expanded);
      block.residual = stride == 1 && channels == stage.channels;
      channels = stage.channels;
    }
  }
  head = Pointwise(reader, "_conv_head", "_bn1", kHeadChannels, channels);
  classifier = kernels::FloatLinear(reader->Read("_fc.weight", {classes, kHeadChannels}),
                                    reader->Read("_fc.bias", {classes}), classes, kHeadChannels);
}

std::vector<float> EfficientNet::Network::operator()(const float* pixels) {
  stem.Apply(team, pixels, kEfficientNetSize, x);
  for (const Block& block : blocks) {
    if (block.expands) block.expand.Apply(team, x, kRelu6, wide);
    block.depthwise.Apply(team, block.expands ? wide : x, narrowed);
    block.project.Apply(team, narrowed, kNoBounds, projected);
    if (block.residual) kernels::Add(x.values.data(), x.pixels() * x.channels, projected.values.data());
    std::swap(x, projected);
  }
  head.Apply(team, x, kRelu6, wide);
  std::vector<float> mean(kHeadChannels);
  for (int pixel = 0; pixel < wide.pixels(); ++pixel) {
    kernels::Add(wide.values.data() + static_cast<int64_t>(pixel) * wide.channels, kHeadChannels,
                 mean.data());
  }
  for (float& value : mean) value /= static_cast<float>(wide.pixels());
  std::vector<float> logits(classifier.stride());
  classifier.Apply(mean.data(), 1, logits.data());
  logits.resize(classifier.outputs());
  return logits;
}

absl::StatusOr<std::unique_ptr<EfficientNet>> EfficientNet::Load(const bundle::Safetensors& weights,
                                                                 absl::string_view labels_json, int threads) {
  const nlohmann::json json = nlohmann::json::parse(labels_json.begin(), labels_json.end(), nullptr, false);
  const bool strings = json.is_array() && !json.empty() &&
                       std::all_of(json.begin(), json.end(), [](const auto& l) { return l.is_string(); });
  if (!strings) return absl::InvalidArgumentError("labels.json: no array of strings");
  std::vector<std::string> labels = json.get<std::vector<std::string>>();
  FloatReader reader(&weights);
  auto network = std::make_unique<Network>(&reader, static_cast<int>(labels.size()), threads);
  if (!reader.status().ok()) return reader.status();
  return std::unique_ptr<EfficientNet>(new EfficientNet(std::move(network), std::move(labels)));
}

EfficientNet::EfficientNet(std::unique_ptr<Network> network, std::vector<std::string> labels)
    : network_(std::move(network)), labels_(std::move(labels)) {}
EfficientNet::~EfficientNet() = default;

std::vector<float> EfficientNet::Logits(absl::Span<const float> pixels) const {
  return (*network_)(pixels.data());
}

absl::StatusOr<std::vector<std::vector<LabelProbability>>> EfficientNet::Labels(
    absl::Span<const ImagePtr> images, int count) const {
  std::vector<std::vector<LabelProbability>> result(images.size());
  std::vector<float> pixels(static_cast<size_t>(3) * kEfficientNetSize * kEfficientNetSize);
  const size_t kept = std::min(labels_.size(), static_cast<size_t>(std::max(count, 0)));
  for (size_t i = 0; i < images.size(); ++i) {
    const absl::Status status = PreprocessForEfficientNet(*images[i], network_->team, absl::MakeSpan(pixels));
    if (!status.ok()) return status;
    const std::vector<float> row = Logits(pixels);
    const float largest = *std::max_element(row.begin(), row.end());
    const double sum = std::accumulate(row.begin(), row.end(), 0.0,
                                       [&](double s, float v) { return s + std::exp(v - largest); });
    std::vector<int> order(labels_.size());
    std::iota(order.begin(), order.end(), 0);
    std::partial_sort(order.begin(), order.begin() + static_cast<ptrdiff_t>(kept), order.end(),
                      [&](int a, int b) { return row[a] != row[b] ? row[a] > row[b] : a < b; });
    for (size_t k = 0; k < kept; ++k) {
      result[i].push_back({labels_[order[k]], static_cast<float>(std::exp(row[order[k]] - largest) / sum)});
    }
  }
  return result;
}

}  // namespace parley::engine::cpu
