#include "model/stored_matrix.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "gemm/ceil_div.h"
#include "model/safetensors_header.h"

namespace finback {
namespace {

// Number of the block that holds [begin, end), if one does.
std::optional<int64_t> block_of(int64_t begin, int64_t end, int64_t block) {
  if (begin / block != (end - 1) / block) return std::nullopt;
  return begin / block;
}

// Rows below one another; torch joins E4M3 as bytes only.
at::Tensor joined_rows(const std::vector<at::Tensor>& rows) {
  if (rows.size() == 1) return rows[0];
  if (rows[0].scalar_type() != at::kFloat8_e4m3fn) return at::cat(rows);
  std::vector<at::Tensor> bytes;
  for (const at::Tensor& t : rows) bytes.push_back(t.view(at::kByte));
  return at::cat(bytes).view(at::kFloat8_e4m3fn);
}

}  // namespace

StoredMatrices::StoredMatrices(const TensorSource& files, const Fp8Layout& layout, const ModelConfig& config)
    : files_(files), layout_(layout), config_(config) {}

int64_t StoredMatrices::groups(const std::string& name) const {
  if (name.ends_with(".w_uk") || name.ends_with(".w_uv")) return config_.num_attention_heads;
  return name.find(".mlp.experts.") != std::string::npos ? config_.n_routed_experts : 0;
}

// Rows of the matrix that the parts make below one another.
std::vector<StoredMatrices::Part> StoredMatrices::rows_of_parts(const std::vector<Part>& parts, int64_t first_row, int64_t rows) {
  std::vector<Part> cut;
  for (Part part : parts) {
    const int64_t begin = std::clamp<int64_t>(first_row, 0, part.rows), end = std::clamp<int64_t>(first_row + rows, 0, part.rows);
    first_row -= part.rows;
    part.first_row += begin, part.rows = end - begin;
    if (part.rows > 0) cut.push_back(std::move(part));
  }
  return cut;
}

StoredMatrices::Part StoredMatrices::whole(const std::string& tensor) const { return {tensor, -1, 0, files_.entry(tensor).shape[0]}; }

std::vector<StoredMatrices::Part> StoredMatrices::parts(const std::string& name, int64_t group) const {
  const size_t dot = name.rfind('.');
  const std::string last = name.substr(dot + 1);
  std::string prefix = name.substr(0, dot + 1);
  if (last == "w_uk" || last == "w_uv") {
    const int64_t n = config_.qk_nope_head_dim, v = config_.v_head_dim, head = group * (n + v);
    return {{prefix + "kv_b_proj.weight", -1, last == "w_uk" ? head : head + n, last == "w_uk" ? n : v}};
  }
  if (groups(name) > 0) {
    if (files_.has(name)) return {{name, group, 0, files_.entry(name).shape[1]}};
    prefix += std::to_string(group) + ".";
  }
  if (last == "gate_up_proj") return {whole(prefix + "gate_proj.weight"), whole(prefix + "up_proj.weight")};
  if (name == "lm_head" && config_.tie_word_embeddings) return {whole("model.embed_tokens.weight")};
  return {whole(dot == std::string::npos ? name + ".weight" : prefix + last + ".weight")};
}

at::Tensor StoredMatrices::as_stored(const Part& part) const {
  const at::Tensor tensor = files_.tensor(part.tensor);
  return (part.expert < 0 ? tensor : tensor[part.expert]).narrow(0, part.first_row, part.rows);
}

at::Tensor StoredMatrices::numbers(const Part& part) const {
  if (files_.entry(part.tensor).dtype != at::kFloat8_e4m3fn) return as_stored(part).to(at::kFloat);
  return read_fp8_weight(files_, part.tensor, layout_, part.first_row, part.rows);
}

StoredCodes StoredMatrices::encoded(const std::vector<Part>& parts, Precision storage, bool transposed) const {
  std::vector<at::Tensor> rows;
  for (const Part& part : parts) rows.push_back(numbers(part));
  const at::Tensor w_NK = joined_rows(rows);
  rows.clear();
  return encode_weight(w_NK, storage, transposed);
}

// The folder's codes, with the scale of each panel's rows in each 128 of K. Without values where one of these lies in two of the folder's blocks.
StoredCodes StoredMatrices::fp8_codes(const std::vector<Part>& parts, bool transposed) const {
  std::vector<at::Tensor> rows;
  for (const Part& part : parts) rows.push_back(as_stored(part));
  const at::Tensor w_NK = joined_rows(rows);
  const int64_t n = w_NK.size(0), k = w_NK.size(1), width = panel_width();
  // Sizes along the rows and the columns of w_NK that share a scale when they are multiplied.
  const int64_t high = transposed ? kFp8Block : width, wide = transposed ? width : kFp8Block;
  const at::Tensor scales = at::empty({ceil_div(n, high), ceil_div(k, wide)}, at::kFloat);
  auto scale = scales.accessor<float, 2>();
  int64_t first = 0;  // row of w_NK where the part begins
  for (const Part& part : parts) {
    const at::Tensor stored = read_fp8_scales(files_, part.tensor);
    const auto of_block = stored.accessor<float, 2>();
    if (first % high != 0) return {};
    for (int64_t row = 0; row < part.rows; row += high) {
      const auto block_row = block_of(part.first_row + row, part.first_row + std::min(row + high, part.rows), layout_.block_rows);
      for (int64_t column = 0; column < k; column += wide) {
        const auto block_column = block_of(column, std::min(column + wide, k), layout_.block_columns);
        if (!block_row || !block_column) return {};
        scale[(first + row) / high][column / wide] = of_block[*block_row][*block_column];
      }
    }
    first += part.rows;
  }
  if (!transposed) return {Precision::kFp8, w_NK, scales, width};
  const at::Tensor w_KN = w_NK.view(at::kByte).t().contiguous().view(at::kFloat8_e4m3fn);
  return {Precision::kFp8, w_KN, scales.t().contiguous(), width};
}

StoredCodes StoredMatrices::codes(const std::string& name, int64_t group, int64_t first_row, int64_t rows, Precision storage,
                                  bool transposed) {
  FB_ASSERT(!transposed || first_row == 0, "what is transposed is small");
  const std::vector<Part> from = transposed ? parts(name, group) : rows_of_parts(parts(name, group), first_row, rows);
  const auto all_are = [&](at::ScalarType dtype) {
    return std::ranges::all_of(from, [&](const Part& part) { return files_.entry(part.tensor).dtype == dtype; });
  };
  try {
    StoredCodes as_they_lie;
    if (storage == Precision::kFp8 && all_are(at::kFloat8_e4m3fn)) {
      as_they_lie = fp8_codes(from, transposed);
      if (!as_they_lie.values.defined()) requantized_.insert(name);
    } else if (storage == Precision::kBf16 && all_are(at::kBFloat16)) {
      std::vector<at::Tensor> rows;
      for (const Part& part : from) rows.push_back(as_stored(part));
      const at::Tensor w_NK = joined_rows(rows);
      as_they_lie = {storage, transposed ? w_NK.t().contiguous() : w_NK, {}};
    }
    if (!as_they_lie.values.defined()) return encoded(from, storage, transposed);
    FB_CHECK(are_storable(as_they_lie), "expected finite weights that {} products take, got another", precision_name(storage));
    return as_they_lie;
  } catch (const Error& e) {
    FB_FAIL("{}: {}", quoted_name(from[0].tensor), e.what());
  }
}

}  // namespace finback
