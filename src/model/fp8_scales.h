// How a folder stores the scales of its FP8 weights: DeepSeek's "<weight>_scale_inv", one for each block of quantization_config's weight_block_size, as
// f32 or as exponents (F8_E8M0, or the same bytes as U8 where scale_fmt is ue8m0). Whatever the form, what is read is f32.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "kernels/fp8_block.h"
#include "model/tensor_source.h"

namespace finback {

inline const std::string kScaleSuffix = "_scale_inv";

struct Fp8Layout {
  int64_t block_rows = kFp8Block, block_columns = kFp8Block;
  bool ue8m0 = false;  // scale_fmt: scales are powers of two, and U8 scales are their exponents
  bool is_deepseeks() const { return block_rows == kFp8Block && block_columns == kFp8Block; }
};

// quantization_config of a folder's config.json; the layout above without one. Throws Error for a method, format or block that is not read.
Fp8Layout read_fp8_layout(const std::filesystem::path& folder);

// Shape of the scales of a matrix with shape `weight`; blocks at its edges are cut short.
std::vector<int64_t> fp8_scale_shape(const std::vector<int64_t>& weight, const Fp8Layout& layout = {});

// What is wrong with the scales of an FP8 weight of this shape, in one line; empty: nothing.
std::string fp8_scale_problem(const TensorSource& files, const std::string& weight, const std::vector<int64_t>& shape,
                              const Fp8Layout& layout);
// The scales of an FP8 weight in f32, a number a block. REQUIRES: fp8_scale_problem() is empty.
at::Tensor read_fp8_scales(const TensorSource& files, const std::string& weight);
// The weight in f32, or `rows` of its rows from `first_row` on. REQUIRES: fp8_scale_problem() is empty.
at::Tensor read_fp8_weight(const TensorSource& files, const std::string& weight, const Fp8Layout& layout);
at::Tensor read_fp8_weight(const TensorSource& files, const std::string& weight, const Fp8Layout& layout, int64_t first_row, int64_t rows);

}  // namespace finback
