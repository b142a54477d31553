#include "engine/torch/weights.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

namespace parley::engine::libtorch {

at::Tensor WeightReader::Read(const std::string& name, std::initializer_list<int64_t> shape) {
  if (status_.ok()) {
    const absl::StatusOr<bundle::TensorView> view = file_->Find(name, shape);
    status_ = view.status();
    if (view.ok()) {
      at::Tensor tensor = at::empty(at::IntArrayRef(shape), at::kFloat);
      status_ = bundle::Dequantize(*view, absl::MakeSpan(tensor.data_ptr<float>(), tensor.numel()));
      if (status_.ok()) return tensor;
    }
  }
  return at::zeros(at::IntArrayRef(shape), at::kFloat);
}

}  // namespace parley::engine::libtorch
