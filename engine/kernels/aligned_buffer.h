// Memory on a cache line's boundary, for kernels. Grows, never shrinks; contents are not kept when it grows.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace parley::engine::kernels {

template <typename T>
class AlignedBuffer {
 public:
  // Zeroed where new memory was taken. Allocation failure ends the process, as everywhere in C++ code that
  // does not handle bad_alloc; sizes come from checked model shapes, never from a client.
  void Resize(size_t size) {
    if (size > capacity_) {
      constexpr size_t kLine = 64;
      const size_t bytes = (size * sizeof(T) + kLine - 1) / kLine * kLine;
      data_.reset(static_cast<T*>(std::aligned_alloc(kLine, bytes)));
      if (data_ == nullptr) std::abort();
      std::memset(static_cast<void*>(data_.get()), 0, bytes);
      capacity_ = bytes / sizeof(T);
    }
    size_ = size;
  }
  size_t size() const { return size_; }
  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }

 private:
  struct Free {
    void operator()(T* p) const { std::free(p); }
  };
  std::unique_ptr<T[], Free> data_;
  size_t size_ = 0;
  size_t capacity_ = 0;
};

}  // namespace parley::engine::kernels
