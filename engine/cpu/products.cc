#include "engine/cpu/products.h"

#include <algorithm>
#include <cstdint>

namespace parley::engine::cpu {
namespace {

// Tiles of a product with many rows that are worth a thread's while: a pair, which the kernels take together.
constexpr int kTilesOfWork = 2;
// Rows that a pair of tiles meets one after the other stay in the second level of the cache meanwhile.
constexpr int64_t kBlockBytes = 256 << 10;

}  // namespace

void Multiply(kernels::ThreadTeam& team, const Activations& x, absl::Span<const Product> products,
              kernels::Isa isa) {
  int tiles = 0;
  for (const Product& product : products) tiles += product.weights->tiles();
  const int rows = x.rows();
  const int fitting = static_cast<int>(kBlockBytes / x.row_bytes()) / kernels::kRowsTogether;
  const int block = std::max(fitting, 1) * kernels::kRowsTogether;
  const int blocks = (rows + block - 1) / block;
  // Small pieces: a helper that is put aside holds up one of them.
  const int grain = rows > 4 ? kTilesOfWork : 2 * kTilesOfWork;
  team.For(blocks * tiles, grain, [&](int begin, int end) {
    while (begin < end) {
      const int first_row = begin / tiles * block;
      const int stop = std::min(end, (begin / tiles + 1) * tiles);
      const int offset = begin / tiles * tiles;
      int first = 0;
      for (const Product& product : products) {
        const int from = std::max(begin - offset - first, 0);
        const int to = std::min(stop - offset - first, product.weights->tiles());
        if (from < to) {
          product.weights->Multiply(x, first_row, std::min(block, rows - first_row), from, to, product.y,
                                    isa);
        }
        first += product.weights->tiles();
      }
      begin = stop;
    }
  });
}

}  // namespace parley::engine::cpu
