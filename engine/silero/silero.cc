#include "engine/silero/silero.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/kernels/aligned_buffer.h"
#include "engine/kernels/float_linear.h"

namespace parley::engine::silero {
namespace {

constexpr int kWindow = SpeechDetector::kWindowSamples;
constexpr int kContext = 64;  // samples before the window, and reflected samples after it
constexpr int kPadded = kContext + kWindow + kContext;
constexpr int kFftSize = 256;
constexpr int kHop = 128;
constexpr int kFrames = (kPadded - kFftSize) / kHop + 1;  // 4
constexpr int kBins = kFftSize / 2 + 1;                   // 129
constexpr int kHidden = 128;

class SileroState : public SpeechDetector::State {
 public:
  void Reset() override {
    hidden.fill(0);
    cell.fill(0);
    context.fill(0);
  }
  std::array<float, kHidden> hidden = {};
  std::array<float, kHidden> cell = {};
  std::array<float, kContext> context = {};  // the last samples of the window before
};

float Sigmoid(float x) { return 1.0f / (1.0f + std::exp(-x)); }

// A 1-D convolution of kernel 3 and padding 1 over frames, followed by ReLU, as a dense layer on neighbouring
// frames. x: [rows, frames, x_stride] of which the first `channels` count; y: [rows, frames_out,
// linear.stride()].
struct Convolution {
  kernels::FloatLinear linear;  // [outputs, 3 * channels], taps outermost
  int channels = 0;
  int stride = 1;

  int frames_out(int frames) const { return (frames - 1) / stride + 1; }
  void Apply(const float* x, int rows, int frames, int x_stride, kernels::AlignedBuffer<float>* columns,
             kernels::AlignedBuffer<float>* y) const {
    const int out = frames_out(frames);
    columns->Resize(static_cast<size_t>(rows) * out * 3 * channels);
    float* column = columns->data();
    for (int row = 0; row < rows; ++row) {
      for (int frame = 0; frame < out; ++frame) {
        for (int tap = 0; tap < 3; ++tap, column += channels) {
          const int source = frame * stride + tap - 1;
          if (source < 0 || source >= frames) {
            std::fill_n(column, channels, 0.0f);
          } else {
            std::copy_n(x + (static_cast<size_t>(row) * frames + source) * x_stride, channels, column);
          }
        }
      }
    }
    y->Resize(static_cast<size_t>(rows) * out * linear.stride());
    linear.Apply(columns->data(), rows * out, y->data());
    for (size_t i = 0; i < y->size(); ++i) y->data()[i] = std::max(y->data()[i], 0.0f);
  }
};

class SileroDetector : public SpeechDetector {
 public:
  std::string_view name() const override { return "Silero VAD"; }
  std::unique_ptr<State> NewState() const override { return std::make_unique<SileroState>(); }
  absl::Status Detect(absl::Span<Window> batch) override;
  absl::Status Load(const bundle::Safetensors& weights);

 private:
  void Spectrogram(absl::Span<Window> batch);
  void LstmCell(absl::Span<Window> batch);

  kernels::FloatLinear stft_;  // [2 * kBins, kFftSize]: real parts, then imaginary parts
  std::array<Convolution, 4> convolutions_;
  kernels::FloatLinear lstm_;  // [4 * kHidden, features and hidden]: gates input, forget, cell, output
  std::array<float, kHidden> final_weights_ = {};
  float final_bias_ = 0;

  // Scratch, reused between calls.
  kernels::AlignedBuffer<float> frames_;      // [batch * kFrames, kFftSize]
  kernels::AlignedBuffer<float> spectrum_;    // [batch * kFrames, stft_.stride()]
  kernels::AlignedBuffer<float> magnitudes_;  // [batch, kFrames, kBins]
  kernels::AlignedBuffer<float> columns_;
  std::array<kernels::AlignedBuffer<float>, 4> features_;
  kernels::AlignedBuffer<float> lstm_in_;  // [batch, 2 * kHidden]
  kernels::AlignedBuffer<float> gates_;    // [batch, 4 * kHidden]
};

absl::StatusOr<std::vector<float>> Read(const bundle::Safetensors& weights, absl::string_view name,
                                        std::initializer_list<int64_t> shape) {
  const absl::StatusOr<bundle::TensorView> view = weights.Find(name, shape);
  if (!view.ok()) return view.status();
  std::vector<float> values(view->values());
  const absl::Status status = bundle::Dequantize(*view, absl::MakeSpan(values));
  if (!status.ok()) return status;
  return values;
}

absl::Status SileroDetector::Load(const bundle::Safetensors& weights) {
  const auto stft = Read(weights, "stft_conv.weight", {2 * kBins, 1, kFftSize});
  if (!stft.ok()) return stft.status();
  stft_ = kernels::FloatLinear(*stft, {}, 2 * kBins, kFftSize);

  struct Shape {
    int outputs, inputs, stride;
  };
  constexpr std::array<Shape, 4> kShapes = {{{128, kBins, 1}, {64, 128, 2}, {64, 64, 2}, {kHidden, 64, 1}}};
  for (size_t i = 0; i < kShapes.size(); ++i) {
    const auto [outputs, inputs, stride] = kShapes[i];
    const auto kernel = Read(weights, absl::StrCat("conv", i + 1, ".weight"), {outputs, inputs, 3});
    if (!kernel.ok()) return kernel.status();
    const auto bias = Read(weights, absl::StrCat("conv", i + 1, ".bias"), {outputs});
    if (!bias.ok()) return bias.status();
    std::vector<float> taps_first(kernel->size());
    for (int o = 0; o < outputs; ++o) {
      for (int c = 0; c < inputs; ++c) {
        for (int tap = 0; tap < 3; ++tap) {
          taps_first[(static_cast<size_t>(o) * 3 + tap) * inputs + c] =
              (*kernel)[(static_cast<size_t>(o) * inputs + c) * 3 + tap];
        }
      }
    }
    convolutions_[i] = {kernels::FloatLinear(taps_first, *bias, outputs, 3 * inputs), inputs, stride};
  }

  const auto w_input = Read(weights, "lstm_cell.weight_ih", {4 * kHidden, kHidden});
  if (!w_input.ok()) return w_input.status();
  const auto w_hidden = Read(weights, "lstm_cell.weight_hh", {4 * kHidden, kHidden});
  if (!w_hidden.ok()) return w_hidden.status();
  const auto b_input = Read(weights, "lstm_cell.bias_ih", {4 * kHidden});
  if (!b_input.ok()) return b_input.status();
  const auto b_hidden = Read(weights, "lstm_cell.bias_hh", {4 * kHidden});
  if (!b_hidden.ok()) return b_hidden.status();
  std::vector<float> joined(static_cast<size_t>(4) * kHidden * 2 * kHidden), bias(4 * kHidden);
  for (int o = 0; o < 4 * kHidden; ++o) {
    std::copy_n(w_input->data() + o * kHidden, kHidden, joined.data() + o * 2 * kHidden);
    std::copy_n(w_hidden->data() + o * kHidden, kHidden, joined.data() + o * 2 * kHidden + kHidden);
    bias[o] = (*b_input)[o] + (*b_hidden)[o];
  }
  lstm_ = kernels::FloatLinear(joined, bias, 4 * kHidden, 2 * kHidden);

  const auto final_weights = Read(weights, "final_conv.weight", {1, kHidden, 1});
  if (!final_weights.ok()) return final_weights.status();
  const auto final_bias = Read(weights, "final_conv.bias", {1});
  if (!final_bias.ok()) return final_bias.status();
  std::copy(final_weights->begin(), final_weights->end(), final_weights_.begin());
  final_bias_ = (*final_bias)[0];
  return absl::OkStatus();
}

void SileroDetector::Spectrogram(absl::Span<Window> batch) {
  frames_.Resize(batch.size() * kFrames * kFftSize);
  std::array<float, kPadded> padded;
  float* frame = frames_.data();
  for (const Window& window : batch) {
    auto* state = static_cast<SileroState*>(window.state);
    std::copy(state->context.begin(), state->context.end(), padded.begin());
    std::transform(window.samples.begin(), window.samples.end(), padded.begin() + kContext,
                   [](float sample) { return std::isfinite(sample) ? sample : 0.0f; });
    constexpr int kLast = kContext + kWindow - 1;
    for (int i = 0; i < kContext; ++i) padded[kLast + 1 + i] = padded[kLast - 1 - i];
    std::copy_n(padded.begin() + kWindow, kContext, state->context.begin());
    for (int i = 0; i < kFrames; ++i, frame += kFftSize)
      std::copy_n(padded.begin() + i * kHop, kFftSize, frame);
  }
  const int rows = static_cast<int>(batch.size()) * kFrames;
  spectrum_.Resize(static_cast<size_t>(rows) * stft_.stride());
  stft_.Apply(frames_.data(), rows, spectrum_.data());
  magnitudes_.Resize(static_cast<size_t>(rows) * kBins);
  for (int row = 0; row < rows; ++row) {
    const float* real = spectrum_.data() + static_cast<size_t>(row) * stft_.stride();
    const float* imaginary = real + kBins;
    float* out = magnitudes_.data() + static_cast<size_t>(row) * kBins;
    for (int bin = 0; bin < kBins; ++bin)
      out[bin] = std::sqrt(real[bin] * real[bin] + imaginary[bin] * imaginary[bin]);
  }
}

void SileroDetector::LstmCell(absl::Span<Window> batch) {
  const int rows = static_cast<int>(batch.size());
  lstm_in_.Resize(static_cast<size_t>(rows) * 2 * kHidden);
  for (int row = 0; row < rows; ++row) {
    const auto* state = static_cast<const SileroState*>(batch[row].state);
    float* in = lstm_in_.data() + static_cast<size_t>(row) * 2 * kHidden;
    std::copy_n(features_[3].data() + static_cast<size_t>(row) * kHidden, kHidden, in);
    std::copy(state->hidden.begin(), state->hidden.end(), in + kHidden);
  }
  gates_.Resize(static_cast<size_t>(rows) * 4 * kHidden);
  lstm_.Apply(lstm_in_.data(), rows, gates_.data());
  for (int row = 0; row < rows; ++row) {
    auto* state = static_cast<SileroState*>(batch[row].state);
    const float* gates = gates_.data() + static_cast<size_t>(row) * 4 * kHidden;
    float logit = final_bias_;
    for (int i = 0; i < kHidden; ++i) {
      const float input = Sigmoid(gates[i]), forget = Sigmoid(gates[kHidden + i]);
      const float candidate = std::tanh(gates[2 * kHidden + i]), output = Sigmoid(gates[3 * kHidden + i]);
      state->cell[i] = forget * state->cell[i] + input * candidate;
      state->hidden[i] = output * std::tanh(state->cell[i]);
      logit += final_weights_[i] * std::max(state->hidden[i], 0.0f);
    }
    batch[row].probability = Sigmoid(logit);
  }
}

absl::Status SileroDetector::Detect(absl::Span<Window> batch) {
  for (const Window& window : batch) {
    if (dynamic_cast<SileroState*>(window.state) == nullptr) {
      return absl::InvalidArgumentError("speech detector: a window without a state of this detector");
    }
    if (window.samples.size() != kWindow) {
      return absl::InvalidArgumentError(absl::StrCat("speech detector: a window of ", window.samples.size(),
                                                     " samples; it takes ", kWindow));
    }
  }
  if (batch.empty()) return absl::OkStatus();
  Spectrogram(batch);
  const int rows = static_cast<int>(batch.size());
  const float* x = magnitudes_.data();
  int frames = kFrames, x_stride = kBins;
  for (size_t i = 0; i < convolutions_.size(); ++i) {
    convolutions_[i].Apply(x, rows, frames, x_stride, &columns_, &features_[i]);
    x = features_[i].data();
    frames = convolutions_[i].frames_out(frames);
    x_stride = convolutions_[i].linear.stride();
  }
  LstmCell(batch);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<SpeechDetector>> Load(const bundle::Safetensors& weights) {
  auto detector = std::make_unique<SileroDetector>();
  const absl::Status status = detector->Load(weights);
  if (!status.ok()) return status;
  return std::unique_ptr<SpeechDetector>(std::move(detector));
}

}  // namespace parley::engine::silero
