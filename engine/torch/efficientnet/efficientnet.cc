#include "engine/torch/efficientnet/efficientnet.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/hardtanh.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/softmax.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <array>
#include <exception>
#include <nlohmann/json.hpp>
#include <numeric>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/torch/efficientnet/preprocessing.h"
#include "engine/torch/weights.h"

namespace parley::engine {
namespace {

constexpr int kStemChannels = 32;
constexpr int kHeadChannels = 1280;
constexpr double kBatchNormEpsilon = 1e-3;

// A stage of mobile inverted bottlenecks: the first block strides, all others keep the shape.
struct Stage {
  int expansion, channels, kernel, stride, blocks;
};
constexpr Stage kStages[] = {{1, 16, 3, 1, 1},  {6, 24, 3, 2, 2},  {6, 40, 5, 2, 2}, {6, 80, 3, 2, 3},
                             {6, 112, 5, 1, 3}, {6, 192, 5, 2, 4}, {6, 320, 3, 1, 1}};

// A convolution with its batch norm folded in and TensorFlow's "same" padding, which puts the odd pixel last.
struct Convolution {
  at::Tensor weight;  // [outputs, inputs / groups, kernel, kernel]
  at::Tensor bias;    // [outputs]
  int64_t kernel = 1, stride = 1, groups = 1;

  at::Tensor operator()(const at::Tensor& x) const {
    const int64_t size = x.size(2);  // pictures are square
    const int64_t padding = std::max<int64_t>(((size + stride - 1) / stride - 1) * stride + kernel - size, 0);
    const int64_t before = padding / 2, after = padding - before;
    if (before == after) return Run(x, before);
    return Run(at::constant_pad_nd(x, {before, after, before, after}), 0);
  }

  at::Tensor Run(const at::Tensor& x, int64_t padding) const {
    const std::array<int64_t, 2> strides = {stride, stride}, paddings = {padding, padding},
                                 dilations = {1, 1};
    return at::conv2d(x, weight, bias, strides, paddings, dilations, groups);
  }
};

Convolution ReadConvolution(WeightReader* reader, const std::string& convolution, const std::string& norm,
                            int outputs, int inputs, int kernel, int stride, bool depthwise) {
  const at::Tensor weight =
      reader->Read(convolution + ".weight", {outputs, depthwise ? 1 : inputs, kernel, kernel});
  const at::Tensor gamma = reader->Read(norm + ".weight", {outputs});
  const at::Tensor beta = reader->Read(norm + ".bias", {outputs});
  const at::Tensor mean = reader->Read(norm + ".running_mean", {outputs});
  const at::Tensor variance = reader->Read(norm + ".running_var", {outputs});
  const at::Tensor scale = gamma / (variance + kBatchNormEpsilon).sqrt();
  return {(weight * scale.view({-1, 1, 1, 1})).contiguous(at::MemoryFormat::ChannelsLast),
          beta - mean * scale, kernel, stride, depthwise ? outputs : 1};
}

at::Tensor Relu6(const at::Tensor& x) { return at::hardtanh(x, 0, 6); }

struct Block {
  Convolution expand;  // undefined weight: no expansion
  Convolution depthwise;
  Convolution project;
  bool residual = false;

  at::Tensor operator()(const at::Tensor& x) const {
    at::Tensor y = expand.weight.defined() ? Relu6(expand(x)) : x;
    y = project(Relu6(depthwise(y)));
    return residual ? y + x : y;
  }
};

}  // namespace

struct EfficientNet::Network {
  Network(WeightReader* reader, int classes);
  // [batch, 3, 224, 224] -> [batch, classes]
  at::Tensor operator()(const at::Tensor& pixels) const;

  Convolution stem;
  std::vector<Block> blocks;
  Convolution head;
  at::Tensor classifier_weight, classifier_bias;
};

EfficientNet::Network::Network(WeightReader* reader, int classes)
    : stem(ReadConvolution(reader, "_conv_stem", "_bn0", kStemChannels, 3, 3, 2, false)) {
  int channels = kStemChannels;
  for (const Stage& stage : kStages) {
    for (int i = 0; i < stage.blocks; ++i) {
      const std::string name = absl::StrCat("_blocks.", blocks.size(), ".");
      const int stride = i == 0 ? stage.stride : 1;
      const int wide = channels * stage.expansion;
      Block& block = blocks.emplace_back();
      if (stage.expansion != 1) {
        block.expand =
            ReadConvolution(reader, name + "_expand_conv", name + "_bn0", wide, channels, 1, 1, false);
      }
      block.depthwise = ReadConvolution(reader, name + "_depthwise_conv", name + "_bn1", wide, wide,
                                        stage.kernel, stride, true);
      block.project =
          ReadConvolution(reader, name + "_project_conv", name + "_bn2", stage.channels, wide, 1, 1, false);
      block.residual = stride == 1 && channels == stage.channels;
      channels = stage.channels;
    }
  }
  head = ReadConvolution(reader, "_conv_head", "_bn1", kHeadChannels, channels, 1, 1, false);
  classifier_weight = reader->Read("_fc.weight", {classes, kHeadChannels});
  classifier_bias = reader->Read("_fc.bias", {classes});
}

at::Tensor EfficientNet::Network::operator()(const at::Tensor& pixels) const {
  at::Tensor x = Relu6(stem(pixels.contiguous(at::MemoryFormat::ChannelsLast)));
  for (const Block& block : blocks) x = block(x);
  x = Relu6(head(x)).mean({2, 3});
  return at::linear(x, classifier_weight, classifier_bias);
}

absl::StatusOr<std::unique_ptr<EfficientNet>> EfficientNet::Load(const bundle::Safetensors& weights,
                                                                 absl::string_view labels_json) {
  const nlohmann::json json = nlohmann::json::parse(labels_json.begin(), labels_json.end(), nullptr, false);
  const bool strings = json.is_array() && !json.empty() &&
                       std::all_of(json.begin(), json.end(), [](const auto& l) { return l.is_string(); });
  if (!strings) return absl::InvalidArgumentError("labels.json: no array of strings");
  std::vector<std::string> labels = json.get<std::vector<std::string>>();
  try {
    WeightReader reader(&weights);
    auto network = std::make_unique<const Network>(&reader, static_cast<int>(labels.size()));
    if (!reader.status().ok()) return reader.status();
    return std::unique_ptr<EfficientNet>(new EfficientNet(std::move(network), std::move(labels)));
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat(weights.path(), ": ", error.what()));
  }
}

EfficientNet::EfficientNet(std::unique_ptr<const Network> network, std::vector<std::string> labels)
    : network_(std::move(network)), labels_(std::move(labels)) {}
EfficientNet::~EfficientNet() = default;

absl::StatusOr<std::vector<float>> EfficientNet::Logits(absl::Span<const float> pixels, int batch) const {
  constexpr int64_t kSize = kEfficientNetSize;
  if (batch < 1 || static_cast<int64_t>(pixels.size()) != batch * 3 * kSize * kSize) {
    return absl::InvalidArgumentError(
        absl::StrCat(pixels.size(), " values for a batch of ", batch, " pictures"));
  }
  const c10::InferenceMode inference;
  try {
    const at::Tensor input =
        at::from_blob(const_cast<float*>(pixels.data()), {batch, 3, kSize, kSize}, at::kFloat);
    const at::Tensor logits = (*network_)(input).contiguous();
    return std::vector<float>(logits.data_ptr<float>(), logits.data_ptr<float>() + logits.numel());
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat("EfficientNet: ", error.what()));
  }
}

absl::StatusOr<std::vector<std::vector<LabelProbability>>> EfficientNet::Labels(
    absl::Span<const ImagePtr> images, int count) const {
  std::vector<std::vector<LabelProbability>> result(images.size());
  std::vector<float> pixels(static_cast<size_t>(3) * kEfficientNetSize * kEfficientNetSize);
  const size_t kept = std::min(labels_.size(), static_cast<size_t>(std::max(count, 0)));
  for (size_t i = 0; i < images.size(); ++i) {
    const absl::Status status = PreprocessForEfficientNet(*images[i], absl::MakeSpan(pixels));
    if (!status.ok()) return status;
    // Each alone: the convolutions of a batch round differently, and on a CPU they are no faster.
    const absl::StatusOr<std::vector<float>> logits = Logits(pixels, 1);
    if (!logits.ok()) return logits.status();
    const std::vector<float>& row = *logits;
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

}  // namespace parley::engine
