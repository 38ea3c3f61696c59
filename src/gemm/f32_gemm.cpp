#include "gemm/f32_gemm.h"

#include <algorithm>
#include <vector>

#include "gemm/f32_tile_cpu.h"
#include "gemm/output_tiles.h"
#include "gemm/panel_stream_cpu.h"

// Note [One FMA chain]
// c[m][n] = fma(a[m][K-1], b[K-1][n], ... fma(a[m][0], b[0][n], c0)): nothing else ever happens to an element. Tiles keep their
// accumulators in registers for one block of K and store them as f32 in between, which changes no bit; lanes run over n, so a column's
// chain does not know its neighbours; rows of a tile are independent registers. Splitting K over threads, or keeping two partial sums an
// element, would be faster for some shapes and is forbidden. The few-row form walks the same chains over panels that lie in memory once.

namespace finback {
namespace {

constexpr int64_t kBlockK = 384;  // a block of A (rows of a chunk x kBlockK) stays in L2 while the panels of B stream through L1

// Note [Read where it lies]
// Packing exists for the caches, not for the arithmetic: the tile broadcasts A from where it lies and loads rows of B from where they lie.
// Copies pay only where lines a stride apart fall into one set of a cache and push each other out, at multiples of a page.
bool read_in_place(const Operand& x) { return std::max(x.row_stride, x.column_stride) % 1024 != 0; }

void multiply_few_rows(const GemmJob& job, const Panels& panels, const OutputTile& out, bool accumulate) {
  const int64_t width = f32_tile().columns;
  const StreamRows rows = {job.m, job.k, job.a_MK, job.c_MN + out.column, job.ldc, accumulate};
  panel_stream().multiply(rows, out.columns, panel_at(panels, out.column / width, job.k, width));
}

// Rows [k0, k0 + depth) of the columns of one panel: where they lie, or copied or widened into scratch.
struct RightRows {
  const float* data;
  int64_t stride;
};
RightRows right_rows(const GemmJob& job, const Panels& panels, int64_t panel, int64_t k0, int64_t depth) {
  const int64_t width = f32_tile().columns, columns = std::min(width, job.n - panel * width);
  thread_local std::vector<float> scratch;
  const auto room = [&] {
    scratch.resize(size_t(depth * width));
    return scratch.data();
  };
  if (panels.values == nullptr) {
    const Operand& b = job.b_KN;
    const float* data = b.data + k0 * b.row_stride + panel * width;
    if (columns % (width / 2) == 0) return {data, b.row_stride};
    f32_tile().pack_b(depth, columns, data, b.row_stride, b.column_stride, room());
    return {scratch.data(), width};
  }
  if (panels.precision == Precision::kF32) return {static_cast<const float*>(panels.values) + (panel * job.k + k0) * width, width};
  panel_stream().widen(k0, depth, panel_at(panels, panel, job.k, width), room());
  return {scratch.data(), width};
}

void multiply_tile(const GemmJob& job, const Panels& panels, const OutputTile& out, bool accumulate) {
  if (job.m <= kFewRows) return multiply_few_rows(job, panels, out, accumulate);
  thread_local std::vector<float> packed_a;
  const F32Tile& tile = f32_tile();
  const Operand& a = job.a_MK;
  const int64_t row = out.row, rows = out.rows, first = out.column, last = first + out.columns;
  const bool in_place = read_in_place(a);
  if (!in_place) packed_a.resize(size_t(ceil_div(rows, tile.rows) * tile.rows * std::min(kBlockK, job.k)));
  for (int64_t k0 = 0; k0 < std::max<int64_t>(job.k, 1); k0 += kBlockK) {
    const int64_t depth = std::min(kBlockK, job.k - k0);
    const float* from = a.data + row * a.row_stride + k0 * a.column_stride;
    TileBlock block = {rows,    0, depth,   from,    tile.rows * a.row_stride, a.row_stride, a.column_stride,
                       nullptr, 0, nullptr, job.ldc, accumulate || k0 > 0};
    if (!in_place) {
      tile.pack_a(rows, depth, from, a.row_stride, a.column_stride, packed_a.data());
      block.a = packed_a.data(), block.a_tile = tile.rows * depth, block.a_row = 1, block.a_k = tile.rows;
    }
    for (int64_t column = first; column < last; column += tile.columns) {
      const RightRows b = right_rows(job, panels, column / tile.columns, k0, depth);
      block.columns = std::min(tile.columns, job.n - column);
      block.b = b.data, block.ldb = b.stride, block.c = job.c_MN + row * job.ldc + column;
      tile.block(block);
    }
  }
}

// The few-row form always walks panels.
bool needs_panels(const GemmJob& job) {
  if (job.packed_b.values != nullptr) return false;
  return job.m <= kFewRows || job.b_KN.column_stride != 1 || !read_in_place(job.b_KN);
}

// The panels of every job that brings none and needs them, in one buffer; returns where each job's panels are.
std::vector<Panels> pack_missing(std::span<const GemmJob> jobs, std::vector<float>& buffer) {
  std::vector<Panels> panels(jobs.size());
  std::vector<PanelJob> missing;
  size_t floats = 0;
  for (const GemmJob& job : jobs) floats += needs_panels(job) ? size_t(packed_floats(job.k, job.n)) : 0;
  if (buffer.size() < floats) buffer.resize(floats);
  float* next = buffer.data();
  for (size_t i = 0; i < jobs.size(); ++i) {
    panels[i] = jobs[i].packed_b;
    if (!needs_panels(jobs[i])) continue;
    panels[i] = Panels(next);
    missing.push_back({jobs[i].k, jobs[i].n, jobs[i].b_KN, next});
    next += packed_floats(jobs[i].k, jobs[i].n);
  }
  pack_panels(missing);
  return panels;
}

}  // namespace

void f32_gemm_all(std::span<const GemmJob> jobs, bool accumulate) {
  thread_local std::vector<float> buffer;
  std::vector<float> mine;
  mine.swap(buffer);  // a nested call on this thread gets its own
  const std::vector<Panels> panels = pack_missing(jobs, mine);
  const GemmTiling tiling = choose_gemm_tiling(jobs);
  for_all_chunks(
      jobs, [&](const GemmJob& job) { return tiles_of(job, tiling); },
      [&](size_t i, int64_t chunk) { multiply_tile(jobs[i], panels[i], tile_at(jobs[i], tiling, chunk), accumulate); });
  mine.swap(buffer);
}

}  // namespace finback
