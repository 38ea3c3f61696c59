// A weight as serving keeps it: bf16, FP8 or int8 codes in panels that gemm.h multiplies by as they lie in memory; sums stay f32. No f32 weight stands behind
// them. bf16: the nearest. fp8: 128x128 blocks of E4M3 with f32 scales (fp8_block.h). A stored number stands for one f32 number, and the bits of a product are
// those of the f32 product with these numbers. int8: blocks of 32 along K of the multiplication, code = round(w / s), s = the bf16 number nearest to
// max |w| / 127; activations are rounded to 16 bits in the same blocks, and a block is summed in integers. Knows no layers and no files.
#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

#include "gemm/panels.h"

namespace finback {

// Rows along K of the multiplication, [M, K] or stacked [E, M, K], as codes.
struct StoredCodes {
  Precision precision = Precision::kBf16;
  at::Tensor values;  // bf16, E4M3 or i8
  at::Tensor scales;  // fp8: f32 [.., ceil(M / scale_rows), ceil(K / 128)]; int8: bf16 [.., M, ceil(K / kInt8Block)]; undefined for bf16
  int64_t scale_rows = 128;  // fp8: rows that share a scale, whole panels of them
};
// weight: [N, K] or [E, N, K], rows contiguous. Its rows, for y = x W^T; transposed: its columns, for y = x W.
// Throws Error when a number is not finite or too large for the storage. REQUIRES: precision is not f32; a CPU tensor.
StoredCodes encode_weight(const at::Tensor& weight, Precision precision, bool transposed = false);

// What a stored weight is made for, before its codes are there.
struct StoredShape {
  int64_t groups = 0;  // of a stack [E, N, K]; 0: one matrix [N, K]
  int64_t n = 0, k = 0;
  Precision precision = Precision::kBf16;
  bool transposed = false;  // the codes are those of W's columns, and products are x W
};

// Never changes, so any number of models and threads may read one. Made for the kernel variant that is chosen: its products read no other's panels.
class StoredWeight {
 public:
  // transposed: the codes are those of W's columns, and products are x W.
  explicit StoredWeight(const StoredCodes& codes, bool transposed = false);
  // codes_of gives rows of the multiplication of one matrix, some after the others, so never are the codes of a whole weight held twice: `rows` rows from
  // `first_row` on, which is a multiple of 128; of a transposed one all.
  using CodesOf = std::function<StoredCodes(int64_t group, int64_t first_row, int64_t rows)>;
  StoredWeight(const StoredShape& shape, const CodesOf& codes_of);
  // int8 panels that are there, in a mapped file for example: memory() and scales() of another one of this shape. REQUIRES: their dtypes and sizes,
  // as panel_sizes() says.
  StoredWeight(const StoredShape& shape, const at::Tensor& values, const at::Tensor& scales);
  Precision precision() const { return precision_; }
  bool transposed() const { return transposed_; }
  int64_t groups() const { return values_.size(0); }
  // Of the weight [N, K] or [E, N, K].
  int64_t n() const { return transposed_ ? k_ : rows_; }
  int64_t k() const { return transposed_ ? rows_ : k_; }
  Panels panels(int64_t group = 0) const;
  // The f32 numbers that the codes stand for, in the weight's shape.
  at::Tensor numbers() const;
  const at::Tensor& memory() const { return values_; }  // the codes, without their scales
  const at::Tensor& scales() const { return scales_; }  // undefined for bf16
  int64_t bytes() const;

 private:
  explicit StoredWeight(const StoredShape& shape);
  void put(int64_t group, int64_t first_row, const StoredCodes& codes);
  Precision precision_;
  bool transposed_, stacked_;
  int64_t rows_ = 0, k_ = 0;  // of the multiplication
  at::Tensor values_;         // [groups][panels][k][width] codes; int8: as panels.h says
  at::Tensor scales_;         // [groups][...] as panels.h says; undefined for bf16
};
// Sizes of memory() and scales() of an int8 weight, the same in every kernel variant: u8 [groups, panels, ceil(K / 4), 32, 4] of code + 128 and bf16
// [groups, panels, ceil(K / 32), 32]; groups: at least 1.
struct PanelSizes {
  std::vector<int64_t> values, scales;
};
PanelSizes panel_sizes(const StoredShape& shape);
StoredWeight store_weight(const at::Tensor& weight, Precision precision, bool transposed = false);
// Numbers that a stored weight asks for at once, or 128 rows of them: enough for many threads, and little beside a model.
constexpr int64_t kCodesAtOnce = int64_t{1} << 22;
// Whether every number of bf16 codes, or every f32 scale of E4M3 ones, is finite and within the storage's range, as encode_weight checks f32 numbers.
bool are_storable(const StoredCodes& codes);

// The reference: the f32 numbers that a stored weight stands for, from the weight itself and in its shape, in plain ATen.
at::Tensor stored_values_ref(const at::Tensor& weight, Precision precision, bool transposed);
// The activations [.., K] that int8 weights multiply: in each block of 32, round(x / s) s with s = max |x| / 32512.
at::Tensor int8_activations_ref(const at::Tensor& x);

// A matrix [rows, K] in int8 with a bf16 scale for every kInt8Block values of a row.
struct Int8Rows {
  at::Tensor codes;   // i8 [rows, K]
  at::Tensor scales;  // bf16 [rows, ceil(K / kInt8Block)]
};
Int8Rows int8_quantize_rows(const at::Tensor& w_NK);

}  // namespace finback
