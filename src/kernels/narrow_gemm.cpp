#include "kernels/narrow_gemm.h"

#include <algorithm>

#include "base/pool.h"
#include "kernels/bf16_tile_cpu.h"
#include "kernels/gemm_cpu.h"
#include "kernels/half_tile_cpu.h"
#include "kernels/narrow_rows_cpu.h"
#include "kernels/variant.h"

// Note [Narrow sums]
// An element of C is one chain of f32 fused multiply-adds over the words in order (multiply then add in the portable variant); a word of two
// numbers adds its second product, then its first. So its bits depend on its row of A, its column of B and how K was cut into pieces alone.
// V3 adds partial sums to f32 every 128 of K, because its processors keep 14 bits of a sum of FP8 products. Where sums are f32 from their
// first product, and a scale that is a power of two commutes with rounding, promotion every 128 would change nothing but the order, so
// scales are multiplied into the operands and the chain runs on. Sums in halves (avx512_fp16) keep 11 bits: there a piece is summed from 0 and
// promoted, and its scales lie before it.

namespace finback {
namespace {

constexpr int64_t kBlockWords = 256;  // a panel of B, 32 KB, stays in L1 or close while the rows of a chunk pass
constexpr int64_t kPackRows = 96;     // a packing chunk, if it is a multiple of the panel's width (4, 6, 8, 12, 16, 32); else twice that
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

int64_t width_of(const WordTile& tile, Side side) { return side == Side::kLeft ? tile.rows : tile.columns; }
int64_t words_a_step(const WordTile& tile, Side side) { return side == Side::kLeft ? tile.rows : tile.b_words; }
// Words of two columns of B at one k, not of two k.
bool pairs_columns(const WordTile& tile, Side side) { return side == Side::kRight && tile.b_words < tile.columns; }
int64_t words_in(int64_t rows, const WordTile& tile) { return tile.header + pieces_of(rows, tile.k_a_word); }

// The words that one pass over a chunk's tiles multiplies: a piece with its header, or a block of words wherever pieces end.
std::vector<Piece> passes_of(const WordJob& job, const WordTile& tile) {
  if (tile.header > 0) return {job.pieces.begin(), job.pieces.end()};
  std::vector<Piece> passes;
  for (int64_t word = 0; word < std::max<int64_t>(job.depth, 1); word += kBlockWords)
    passes.push_back({0, std::min(kBlockWords, job.depth - word), word});
  return passes;
}

void multiply_chunk(const WordJob& job, const WordTile& tile, const Cut& cut, int64_t chunk, bool accumulate) {
  const int64_t row_blocks = pieces_of(job.m, cut.rows), first_row = chunk % row_blocks * cut.rows;
  const int64_t end_row = std::min(job.m, first_row + cut.rows);
  const int64_t first = chunk / row_blocks * cut.columns, end = std::min(job.n, first + cut.columns);
  for (const Piece& pass : passes_of(job, tile)) {
    for (int64_t column = first; column < end; column += tile.columns) {
      const float* b = job.b + (column / tile.columns * job.depth + pass.word) * tile.b_words;
      for (int64_t row = first_row; row < end_row; row += tile.rows) {
        tile.block(std::min(tile.rows, end_row - row), std::min(tile.columns, end - column), pass.rows,
                   job.a + row * job.depth + pass.word * tile.rows, b, job.c + row * job.ldc + column, job.ldc,
                   accumulate || pass.word > 0);
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

// A word is one f32 number: a row needs no packing.
bool words_are_numbers(const WordTile& tile) { return tile.header == 0 && tile.k_a_word == 1; }

// The words of one row of numbers, or of two where a word holds two columns (second: the same row on the left, zeros behind the last).
// REQUIRES: first is words where words_are_numbers.
void row_words(std::span<const Piece> pieces, const WordTile& tile, const float* first, const float* second, float* words) {
  if (tile.header > 0) {
    for (const Piece& piece : pieces) pair_halves(piece.rows, first + piece.first, second + piece.first, words + piece.word);
    return;
  }
  if (first == words) return;
  for (const Piece& piece : pieces) {
    narrow_loops().pair_columns(piece.rows, first + piece.first, reinterpret_cast<uint32_t*>(words + piece.word));
  }
}

void pack_along_chunk(const AlongJob& job, const WordTile& tile, Side side, int64_t chunk_rows, int64_t chunk) {
  thread_local std::vector<float> numbers, words;
  const int64_t depth = depth_of(job.pieces, tile), width = width_of(tile, side), step = words_a_step(tile, side), stride = width / step;
  const int64_t k = job.pieces.empty() ? 0 : job.pieces.back().first + job.pieces.back().rows;
  numbers.resize(size_t(2 * k));
  words.resize(size_t(step * depth));
  const int64_t end = std::min(job.rows, (chunk + 1) * chunk_rows);
  for (int64_t r0 = chunk * chunk_rows; r0 < end; r0 += width) {
    const int64_t rows = std::min(width, end - r0);
    for (int64_t r = 0; r < rows; r += stride) {
      float* to = words.data() + r / stride * depth;
      float *first = words_are_numbers(tile) ? to : numbers.data(), *second = stride == 2 ? first + k : first;
      job.from(job.first + r0 + r, 0, k, first);
      if (r + 1 < rows && stride == 2) job.from(job.first + r0 + r + 1, 0, k, second);
      if (r + 1 == rows && stride == 2) std::fill_n(second, k, 0.0f);
      row_words(job.pieces, tile, first, second, to);
    }
    transpose_words(pieces_of(rows, stride), depth, words.data(), step, job.panels + r0 / width * step * depth);
  }
}

// Whole panels of at most kColumns columns. Where a source has scales, the width divides 128.
int64_t columns_a_chunk(int64_t width) { return kColumns / width * width; }

// One panel's words of a piece whose numbers lie in scratch, from column 0 of the panel on.
void down_words(const Piece& piece, const WordTile& tile, Side side, const float* numbers, int64_t pitch, const float* zeros, float* to) {
  const int64_t width = width_of(tile, side), step = words_a_step(tile, side);
  if (tile.header > 0) {
    float scales[kHalfTileColumns], inverses[kHalfTileColumns];
    const bool paired = pairs_columns(tile, side);
    column_half_scales(piece.rows, width, numbers, pitch, scales, inverses);
    scale_words(width, scales, paired, to);
    for (int64_t r = 0; r < piece.rows; ++r) half_words(width, numbers + r * pitch, inverses, paired, to + (1 + r) * step);
    return;
  }
  for (int64_t r = 0; r < piece.rows; r += tile.k_a_word, to += step) {
    const float *low = numbers + r * pitch, *high = r + 1 < piece.rows ? low + pitch : zeros;
    if (tile.k_a_word == 2)
      narrow_loops().pair_rows(width, low, high, reinterpret_cast<uint32_t*>(to));
    else
      std::copy_n(low, width, to);
  }
}

// The columns from `first` on, of some pieces. The scratch holds whole panels, zeros beyond the last column.
void pack_down_chunk(const DownJob& job, std::span<const Piece> pieces, const WordTile& tile, Side side, int64_t first) {
  thread_local std::vector<float> scratch;
  const int64_t width = width_of(tile, side), pitch = kColumns + width, columns = std::min(columns_a_chunk(width), job.columns - first);
  scratch.assign(size_t((kColumns + 1) * pitch), 0.0f);
  const float* zeros = scratch.data() + kColumns * pitch;
  for (const Piece& piece : pieces) {
    for (int64_t r = 0; r < piece.rows; ++r) job.from(piece.first + r, first, columns, scratch.data() + r * pitch);
    if (job.round_columns) narrow_loops().round_columns(piece.rows, columns, scratch.data(), pitch, scratch.data(), pitch);
    for (int64_t c = 0; c < columns; c += width) {
      float* to = job.panels + ((first + c) / width * job.depth + piece.word) * words_a_step(tile, side);
      down_words(piece, tile, side, scratch.data() + c, pitch, zeros, to);
    }
  }
}

// The f32 tile of one packed tile of A and one panel of B.
void f32_word_tile(int64_t rows, int64_t columns, int64_t depth, const float* a, const float* b, float* c, int64_t ldc, bool accumulate) {
  const GemmTile& tile = gemm_tile();
  tile.block({rows, columns, depth, a, 0, 1, tile.rows, b, tile.columns, c, ldc, accumulate});
}

}  // namespace

WordTile word_tile(Precision precision) {
  const Variant variant = kernel_variant();
  if (variant == Variant::kAvx512Fp16 && precision == Precision::kFp8) {
    return {kHalfTileRows, kHalfTileColumns, kHalfTileColumns / 2, 1, 1, half_tile};
  }
  if (variant == Variant::kAvx512Bf16) return {kBf16TileRows, kBf16TileColumns, kBf16TileColumns, 2, 0, bf16_tile};
  const GemmTile& tile = gemm_tile();
  return {tile.rows, tile.columns, tile.columns, 1, 0, f32_word_tile};
}

std::vector<Piece> pieces_between(std::span<const int64_t> cuts, int64_t first, int64_t end, const WordTile& tile) {
  std::vector<Piece> pieces;
  int64_t word = 0;
  for (auto cut = std::lower_bound(cuts.begin(), cuts.end(), first); *cut < end; ++cut) {
    for (int64_t row = *cut; row < cut[1]; row += kPieceRows) {
      pieces.push_back({row, std::min(kPieceRows, cut[1] - row), word});
      word += words_in(pieces.back().rows, tile);
    }
  }
  return pieces;
}

std::vector<Piece> pieces_along(int64_t k, const WordTile& tile) { return pieces_between(std::vector<int64_t>{0, k}, 0, k, tile); }

int64_t depth_of(std::span<const Piece> pieces, const WordTile& tile) {
  return pieces.empty() ? 0 : pieces.back().word + words_in(pieces.back().rows, tile);
}

int64_t panel_words(int64_t n, int64_t depth, const WordTile& tile, Side side) {
  return pieces_of(n, width_of(tile, side)) * words_a_step(tile, side) * depth;
}

void word_gemm(std::span<const WordJob> jobs, const WordTile& tile, bool accumulate) {
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

void pack_along(std::span<const AlongJob> jobs, const WordTile& tile, Side side) {
  const int64_t rows = kPackRows % width_of(tile, side) == 0 ? kPackRows : 2 * kPackRows;
  for_all_chunks(
      jobs, [&](const AlongJob& job) { return pieces_of(job.rows, rows); },
      [&](const AlongJob& job, int64_t chunk) { pack_along_chunk(job, tile, side, rows, chunk); });
}

void pack_down(std::span<const DownJob> jobs, const WordTile& tile, Side side) {
  const int64_t columns = columns_a_chunk(width_of(tile, side));
  const auto bands = [&](const DownJob& job) { return pieces_of(job.columns, columns); };
  for_all_chunks(
      jobs, [&](const DownJob& job) { return bands(job) * pieces_of(int64_t(job.pieces.size()), kPiecesAChunk); },
      [&](const DownJob& job, int64_t chunk) {
        const int64_t first = chunk / bands(job) * kPiecesAChunk, count = std::min(kPiecesAChunk, int64_t(job.pieces.size()) - first);
        pack_down_chunk(job, job.pieces.subspan(size_t(first), size_t(count)), tile, side, chunk % bands(job) * columns);
      });
}

}  // namespace finback
