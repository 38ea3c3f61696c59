#include "gemm/narrow_panels.h"

#include <algorithm>

#include "gemm/bf16_tile_cpu.h"
#include "gemm/f32_tile_cpu.h"
#include "gemm/half_tile_cpu.h"
#include "gemm/job_loop.h"
#include "gemm/narrow_rows_cpu.h"
#include "gemm/variant.h"

namespace finback {
namespace {

constexpr int64_t kColumns = 128;    // columns that pack_down reads at once, at most: one tile of scales
constexpr int64_t kPieceRows = 128;  // tokens of one scale (V3 section 3.3.2)
constexpr int64_t kPiecesAChunk = 4;

int64_t words_in(int64_t rows, const WordTile& tile) { return tile.header + pieces_of(rows, tile.k_a_word); }

// A word is one f32 number: a row needs no packing.
bool words_are_numbers(const WordTile& tile) { return tile.header == 0 && tile.k_a_word == 1; }

// REQUIRES: numbers is words where words_are_numbers.
void row_words(std::span<const Piece> pieces, const WordTile& tile, const float* numbers, float* words) {
  if (words_are_numbers(tile)) return;
  for (const Piece& piece : pieces) {
    const float* from = numbers + piece.first;
    float* to = words + piece.word;
    tile.header > 0 ? pair_halves(piece.rows, from, to) : narrow_loops().pair_columns(piece.rows, from, reinterpret_cast<uint32_t*>(to));
  }
}

void pack_along_panel(const AlongJob& job, const WordTile& tile, int64_t panel) {
  thread_local std::vector<float> words;
  const int64_t depth = depth_of(job.pieces, tile), first = panel * tile.columns, rows = std::min(tile.columns, job.rows - first);
  words.resize(size_t(rows * depth));
  pack_rows(job.from, first, rows, job.pieces, tile, depth, words.data());
  float* out = job.panels + first * depth;
  narrow_loops().transpose(rows, depth, words.data(), depth, out, tile.columns);
  if (rows == tile.columns) return;
  for (int64_t d = 0; d < depth; ++d) std::fill(out + d * tile.columns + rows, out + (d + 1) * tile.columns, 0.0f);
}

// One panel's words of a piece whose numbers lie in scratch, from column 0 of the panel on.
void down_words(const Piece& piece, const WordTile& tile, int64_t width, const float* numbers, int64_t pitch, const float* zeros,
                float* to) {
  float inverses[kColumns];
  if (tile.header > 0) {
    column_half_scales(piece.rows, width, numbers, pitch, to, inverses);
    to += width;
  }
  for (int64_t r = 0; r < piece.rows; r += tile.k_a_word, to += width) {
    const float *low = numbers + r * pitch, *high = r + 1 < piece.rows ? low + pitch : zeros;
    if (tile.header > 0) {
      half_words(width, low, high, inverses, to);
    } else if (tile.k_a_word == 2) {
      narrow_loops().pair_rows(width, low, high, to);
    } else {
      std::copy_n(low, width, to);
    }
  }
}

// Whole panels of at most kColumns columns. Where a source has scales, the width divides 128.
int64_t columns_a_chunk(const DownJob& job) { return kColumns / job.width * job.width; }

// The columns from `first` on, of some pieces. The scratch holds whole panels, zeros beyond the last column.
void pack_down_chunk(const DownJob& job, std::span<const Piece> pieces, const WordTile& tile, int64_t first) {
  thread_local std::vector<float> scratch;
  const int64_t width = job.width, pitch = kColumns + width, columns = std::min(columns_a_chunk(job), job.columns - first);
  const int64_t depth = depth_of(job.pieces, tile), base = job.pieces.front().word;
  const bool round_and_pair = job.round_columns && tile.header == 0 && tile.k_a_word == 2;
  scratch.resize(size_t((kPieceRows + 1) * pitch));
  for (int64_t r = 0; r <= kPieceRows; ++r) std::fill_n(scratch.data() + r * pitch + (r < kPieceRows ? columns : 0), width, 0.0f);
  const float* zeros = scratch.data() + kPieceRows * pitch;
  for (const Piece& piece : pieces) {
    for (int64_t r = 0; r < piece.rows; ++r) job.from(piece.first + r, first, columns, scratch.data() + r * pitch);
    if (job.round_columns && !round_and_pair)
      narrow_loops().round_columns(piece.rows, columns, scratch.data(), pitch, scratch.data(), pitch);
    for (int64_t c = 0; c < columns; c += width) {
      float* to = job.panels + ((first + c) / width * depth + piece.word - base) * width;
      if (round_and_pair) {
        narrow_loops().round_and_pair_columns(piece.rows, width, scratch.data() + c, pitch, to);
      } else {
        down_words(piece, tile, width, scratch.data() + c, pitch, zeros, to);
      }
    }
  }
}

}  // namespace

WordTile word_tile(Precision precision) {
  const Variant variant = kernel_variant();
  if (variant == Variant::kAvx512Fp16 && precision == Precision::kFp8) return {kHalfTileRows, kHalfTileColumns, 2, 1, half_tile};
  if (variant == Variant::kAvx512Bf16) return {kBf16TileRows, kBf16TileColumns, 2, 0, bf16_tile};
  const F32Tile& tile = f32_tile();
  return {tile.rows, tile.columns, 1, 0, tile.block};
}

std::vector<Piece> pieces_between(std::span<const int64_t> cuts, int64_t first, int64_t end, const WordTile& tile) {
  std::vector<Piece> pieces;
  int64_t word = 0;
  for (auto cut = std::lower_bound(cuts.begin(), cuts.end(), first); *cut < end; ++cut) {
    for (int64_t row = *cut; row < cut[1]; row += kPieceRows) {
      pieces.push_back({row, std::min(kPieceRows, cut[1] - row), word});
      word += words_of(pieces.back(), tile);
    }
  }
  return pieces;
}

std::vector<Piece> pieces_along(int64_t k, const WordTile& tile) { return pieces_between(std::vector<int64_t>{0, k}, 0, k, tile); }

int64_t words_of(const Piece& piece, const WordTile& tile) { return words_in(piece.rows, tile); }

int64_t depth_of(std::span<const Piece> pieces, const WordTile& tile) {
  return pieces.empty() ? 0 : pieces.back().word - pieces.front().word + words_of(pieces.back(), tile);
}

int64_t panel_words(int64_t n, int64_t depth, int64_t width) { return pieces_of(n, width) * width * depth; }

void pack_rows(const RowReader& from, int64_t first, int64_t rows, std::span<const Piece> pieces, const WordTile& tile, int64_t pitch,
               float* words) {
  thread_local std::vector<float> scratch;
  const int64_t k = pieces.empty() ? 0 : pieces.back().first + pieces.back().rows;
  scratch.resize(size_t(k));
  for (int64_t r = 0; r < rows; ++r, words += pitch) {
    float* numbers = words_are_numbers(tile) ? words : scratch.data();
    from(first + r, 0, k, numbers);
    row_words(pieces, tile, numbers, words);
  }
}

void pack_along(std::span<const AlongJob> jobs, const WordTile& tile) {
  for_all_pieces(
      jobs, [&](const AlongJob& job) { return pieces_of(job.rows, tile.columns); },
      [&](size_t i, int64_t panel) { pack_along_panel(jobs[i], tile, panel); });
}

void pack_down(std::span<const DownJob> jobs, const WordTile& tile) {
  const auto bands = [](const DownJob& job) { return pieces_of(job.columns, columns_a_chunk(job)); };
  for_all_pieces(
      jobs, [&](const DownJob& job) { return bands(job) * pieces_of(int64_t(job.pieces.size()), kPiecesAChunk); },
      [&](size_t i, int64_t chunk) {
        const DownJob& job = jobs[i];
        const int64_t first = chunk / bands(job) * kPiecesAChunk, count = std::min(kPiecesAChunk, int64_t(job.pieces.size()) - first);
        pack_down_chunk(job, job.pieces.subspan(size_t(first), size_t(count)), tile, chunk % bands(job) * columns_a_chunk(job));
      });
}

}  // namespace finback
