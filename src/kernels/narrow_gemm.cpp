#include "kernels/narrow_gemm.h"

#include <algorithm>

#include "base/pool.h"
#include "kernels/bf16_tile_cpu.h"
#include "kernels/gemm_cpu.h"
#include "kernels/narrow_rows_cpu.h"
#include "kernels/variant.h"

// Note [Narrow sums]
// An element of C is one chain of f32 fused multiply-adds over the words in order (multiply then add in the portable variant); a word of two
// numbers adds its second product, then its first. So its bits depend on its row of A, its column of B and how K was cut into pieces alone.
// V3 adds partial sums to f32 every 128 of K, because its processors keep 14 bits of a sum of FP8 products. Here every sum is f32 from its
// first product, and a scale that is a power of two commutes with rounding: promotion every 128 would change nothing but the order, so
// scales are multiplied into the operands and the chain runs on.

namespace finback {
namespace {

constexpr int64_t kBlockWords = 256;  // a panel of B, 32 KB, stays in L1 or close while the rows of a chunk pass
constexpr int64_t kPackRows = 96;     // a packing chunk: a multiple of every width (4, 6, 8, 12, 16, 32)
constexpr int64_t kColumns = 128;     // columns that pack_down reads at once, at most: one tile of scales
constexpr int64_t kPieceRows = 128;   // tokens of one scale (V3 section 3.3.2)
constexpr int64_t kPiecesAChunk = 4;
constexpr int64_t kMinChunks = 16;  // as in gemm.cpp

struct Cut {
  int64_t rows, columns;
};
constexpr Cut kCuts[] = {{96, 256}, {48, 256}, {24, 256}, {24, 128}};

int64_t pieces_of(int64_t n, int64_t size) { return (n + size - 1) / size; }

template <class Job, class CountOf, class Body>
void for_all_chunks(std::span<const Job> jobs, const CountOf& count_of, const Body& body) {
  std::vector<int64_t> starts = {0};
  for (const Job& job : jobs) starts.push_back(starts.back() + count_of(job));
  parallel_for(starts.back(), [&](int64_t i) {
    const size_t job = size_t(std::upper_bound(starts.begin(), starts.end(), i) - starts.begin()) - 1;
    body(jobs[job], i - starts[job]);
  });
}

void multiply_chunk(const WordJob& job, const WordTile& tile, const Cut& cut, int64_t chunk, bool accumulate) {
  const int64_t row_blocks = pieces_of(job.m, cut.rows), first_row = chunk % row_blocks * cut.rows;
  const int64_t end_row = std::min(job.m, first_row + cut.rows);
  const int64_t first = chunk / row_blocks * cut.columns, end = std::min(job.n, first + cut.columns);
  for (int64_t k0 = 0; k0 < std::max<int64_t>(job.depth, 1); k0 += kBlockWords) {
    const int64_t depth = std::min(kBlockWords, job.depth - k0);
    for (int64_t column = first; column < end; column += tile.columns) {
      for (int64_t row = first_row; row < end_row; row += tile.rows) {
        tile.block(std::min(tile.rows, end_row - row), std::min(tile.columns, end - column), depth,
                   job.a + row * job.depth + k0 * tile.rows, job.b + column * job.depth + k0 * tile.columns, job.c + row * job.ldc + column,
                   job.ldc, accumulate || k0 > 0);
      }
    }
  }
}

// out[d * width + r] = words[r * depth + d]; panels of fewer rows are filled with zeros.
void transpose_words(int64_t rows, int64_t depth, const float* words, int64_t width, float* out) {
  narrow_loops().transpose(rows, depth, words, depth, out, width);
  if (rows == width) return;
  for (int64_t d = 0; d < depth; ++d) std::fill(out + d * width + rows, out + (d + 1) * width, 0.0f);
}

void pack_along_chunk(const AlongJob& job, const WordTile& tile, int64_t width, int64_t chunk) {
  thread_local std::vector<float> row, words;
  const int64_t depth = words_of(job.k, tile);
  row.resize(size_t(job.k));
  words.resize(size_t(width * depth));
  const int64_t end = std::min(job.rows, (chunk + 1) * kPackRows);
  for (int64_t r0 = chunk * kPackRows; r0 < end; r0 += width) {
    const int64_t rows = std::min(width, end - r0);
    for (int64_t r = 0; r < rows; ++r) {
      float* to = words.data() + r * depth;
      job.from(job.first + r0 + r, 0, job.k, tile.k_a_word == 2 ? row.data() : to);
      if (tile.k_a_word == 2) narrow_loops().pair_columns(job.k, row.data(), reinterpret_cast<uint32_t*>(to));
    }
    transpose_words(rows, depth, words.data(), width, job.panels + r0 * depth);
  }
}

// Whole panels of at most kColumns columns. Where a source has scales, the width divides 128.
int64_t columns_a_chunk(int64_t width) { return kColumns / width * width; }

// The columns from `first` on, of some pieces. The scratch holds whole panels, zeros beyond the last column.
void pack_down_chunk(const DownJob& job, std::span<const Piece> pieces, const WordTile& tile, int64_t width, int64_t first) {
  thread_local std::vector<float> scratch;
  const int64_t pitch = kColumns + width, columns = std::min(columns_a_chunk(width), job.columns - first);
  scratch.assign(size_t((kColumns + 1) * pitch), 0.0f);
  const float* zeros = scratch.data() + kColumns * pitch;
  for (const Piece& piece : pieces) {
    for (int64_t r = 0; r < piece.rows; ++r) job.from(piece.first + r, first, columns, scratch.data() + r * pitch);
    if (job.round_columns) narrow_loops().round_columns(piece.rows, columns, scratch.data(), pitch, scratch.data(), pitch);
    for (int64_t r = 0, word = piece.word; r < piece.rows; r += tile.k_a_word, ++word) {
      const float *low = scratch.data() + r * pitch, *high = r + 1 < piece.rows ? low + pitch : zeros;
      for (int64_t c = 0; c < columns; c += width) {
        float* to = job.panels + (first + c) * job.depth + word * width;
        if (tile.k_a_word == 2) {
          narrow_loops().pair_rows(width, low + c, high + c, reinterpret_cast<uint32_t*>(to));
        } else {
          std::copy(low + c, low + c + width, to);
        }
      }
    }
  }
}

// The f32 tile of one packed tile of A and one panel of B.
void f32_word_tile(int64_t rows, int64_t columns, int64_t depth, const float* a, const float* b, float* c, int64_t ldc, bool accumulate) {
  const GemmTile& tile = gemm_tile();
  tile.block({rows, columns, depth, a, 0, 1, tile.rows, b, tile.columns, c, ldc, accumulate});
}

}  // namespace

WordTile word_tile() {
  if (kernel_variant() == Variant::kAvx512Bf16) return {kBf16TileRows, kBf16TileColumns, 2, bf16_tile};
  const GemmTile& tile = gemm_tile();
  return {tile.rows, tile.columns, 1, f32_word_tile};
}

void word_gemm(std::span<const WordJob> jobs, bool accumulate) {
  const WordTile tile = word_tile();
  const auto chunks_of = [](const WordJob& job, const Cut& cut) { return pieces_of(job.m, cut.rows) * pieces_of(job.n, cut.columns); };
  Cut cut = kCuts[std::size(kCuts) - 1];
  for (const Cut& candidate : kCuts) {
    int64_t chunks = 0;
    for (const WordJob& job : jobs) chunks += chunks_of(job, candidate);
    if (chunks < kMinChunks) continue;
    cut = candidate;
    break;
  }
  for_all_chunks(
      jobs, [&](const WordJob& job) { return chunks_of(job, cut); },
      [&](const WordJob& job, int64_t chunk) { multiply_chunk(job, tile, cut, chunk, accumulate); });
}

void pack_along(std::span<const AlongJob> jobs, int64_t width) {
  const WordTile tile = word_tile();
  for_all_chunks(
      jobs, [](const AlongJob& job) { return pieces_of(job.rows, kPackRows); },
      [&](const AlongJob& job, int64_t chunk) { pack_along_chunk(job, tile, width, chunk); });
}

std::vector<Piece> pieces_between(std::span<const int64_t> cuts, int64_t first, int64_t end) {
  const WordTile tile = word_tile();
  std::vector<Piece> pieces;
  int64_t word = 0;
  for (auto cut = std::lower_bound(cuts.begin(), cuts.end(), first); *cut < end; ++cut) {
    for (int64_t row = *cut; row < cut[1]; row += kPieceRows) {
      pieces.push_back({row, std::min(kPieceRows, cut[1] - row), word});
      word += words_of(pieces.back().rows, tile);
    }
  }
  return pieces;
}

int64_t depth_of(std::span<const Piece> pieces) {
  return pieces.empty() ? 0 : pieces.back().word + words_of(pieces.back().rows, word_tile());
}

void pack_down(std::span<const DownJob> jobs, int64_t width) {
  const WordTile tile = word_tile();
  const int64_t columns = columns_a_chunk(width);
  const auto bands = [&](const DownJob& job) { return pieces_of(job.columns, columns); };
  for_all_chunks(
      jobs, [&](const DownJob& job) { return bands(job) * pieces_of(int64_t(job.pieces.size()), kPiecesAChunk); },
      [&](const DownJob& job, int64_t chunk) {
        const int64_t first = chunk / bands(job) * kPiecesAChunk, count = std::min(kPiecesAChunk, int64_t(job.pieces.size()) - first);
        pack_down_chunk(job, std::span(job.pieces).subspan(size_t(first), size_t(count)), tile, width, chunk % bands(job) * columns);
      });
}

}  // namespace finback
