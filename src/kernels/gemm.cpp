#include "kernels/gemm.h"

#include <algorithm>
#include <vector>

#include "base/pool.h"
#include "kernels/gemm_cpu.h"

// Note [One FMA chain]
// c[m][n] = fma(a[m][K-1], b[K-1][n], ... fma(a[m][0], b[0][n], c0)): nothing else ever happens to an element. Tiles keep their
// accumulators in registers for one block of K and store them as f32 in between, which changes no bit; lanes run over n, so a column's
// chain does not know its neighbours; rows of a tile are independent registers. Splitting K over threads, or keeping two partial sums an
// element, would be faster for some shapes and is forbidden.

namespace finback {
namespace {

constexpr int64_t kBlockK = 384;  // a block of A (kBlockM x kBlockK) stays in L2, one B panel's block in L1
constexpr int64_t kBlockM = 96;   // rows a chunk of work
constexpr int64_t kPanelsAChunk = 8;

std::vector<float>& scratch() {
  thread_local std::vector<float> floats;
  return floats;
}

}  // namespace

int64_t panel_width() { return gemm_tile().columns; }

int64_t packed_floats(int64_t k, int64_t n) {
  const int64_t width = panel_width();
  return (n + width - 1) / width * width * k;
}

void pack_panels(int64_t k, int64_t n, Operand b, float* packed) {
  const int64_t width = panel_width(), panels = (n + width - 1) / width;
  parallel_for(panels, [&](int64_t panel) {
    gemm_tile().pack_b(k, std::min(width, n - panel * width), b.data + panel * width * b.column_stride, b.row_stride, b.column_stride,
                       packed + panel * width * k);
  });
}

void gemm_packed(int64_t m, int64_t n, int64_t k, Operand a, const float* packed_b, float* c, int64_t ldc, bool accumulate) {
  if (m == 0 || n == 0) return;
  const GemmTile& tile = gemm_tile();
  const int64_t width = tile.columns, panels = (n + width - 1) / width;
  const int64_t row_blocks = (m + kBlockM - 1) / kBlockM, panel_groups = (panels + kPanelsAChunk - 1) / kPanelsAChunk;
  parallel_for(row_blocks * panel_groups, [&](int64_t chunk) {
    const int64_t row = chunk % row_blocks * kBlockM, rows = std::min(kBlockM, m - row);
    const int64_t first_panel = chunk / row_blocks * kPanelsAChunk, last_panel = std::min(panels, first_panel + kPanelsAChunk);
    std::vector<float>& packed_a = scratch();
    packed_a.resize(size_t((rows + tile.rows - 1) / tile.rows * tile.rows * kBlockK));
    for (int64_t k0 = 0; k0 < std::max<int64_t>(k, 1); k0 += kBlockK) {
      const int64_t depth = std::min(kBlockK, k - k0);
      tile.pack_a(rows, depth, a.data + row * a.row_stride + k0 * a.column_stride, a.row_stride, a.column_stride, packed_a.data());
      for (int64_t panel = first_panel; panel < last_panel; ++panel) {
        tile.block(rows, std::min(width, n - panel * width), depth, packed_a.data(), packed_b + panel * width * k + k0 * width,
                   c + row * ldc + panel * width, ldc, accumulate || k0 > 0);
      }
    }
  });
}

void gemm(int64_t m, int64_t n, int64_t k, Operand a, Operand b, float* c, int64_t ldc, bool accumulate) {
  if (m == 0 || n == 0) return;
  thread_local std::vector<float> packed;
  std::vector<float> mine;
  mine.swap(packed);  // a nested call on this thread gets its own
  mine.resize(size_t(packed_floats(k, n)));
  pack_panels(k, n, b, mine.data());
  gemm_packed(m, n, k, a, mine.data(), c, ldc, accumulate);
  packed.swap(mine);
}

}  // namespace finback
