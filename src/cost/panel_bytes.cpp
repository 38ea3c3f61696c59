#include "cost/panel_bytes.h"

#include <functional>

#include "cost/parameter_count.h"
#include "cost/weight_matrices.h"
#include "gemm/panels.h"
#include "gemm/quantized_panels.h"
#include "gemm/variant.h"

namespace finback {
namespace {

bool packs_nothing() { return kernel_variant() == Variant::kRef; }

int64_t ceil_div(int64_t n, int64_t size) { return (n + size - 1) / size; }

// Panels of B [k, n] as gemm/panels.h and gemm/quantized_panels.h lay them out.
int64_t f32_panels(int64_t k, int64_t n) { return 4 * packed_floats(k, n); }

int64_t quantized_panels(int64_t k, int64_t n, Precision precision) {
  const QuantizedTile tile = quantized_tile(precision);
  return 4 * panel_words(n, depth_of(k_ranges_along(k, tile), tile), tile.columns);
}

int64_t stored_panels(int64_t k, int64_t n, Precision storage) {
  constexpr int64_t kFp8ScaleBlock = 128;
  const int64_t width = panel_width(storage), panels = ceil_div(n, width);
  switch (storage) {
    case Precision::kF32:
      return f32_panels(k, n);
    case Precision::kBf16:
      return 2 * panels * width * k;
    case Precision::kFp8:
      return panels * (width * k + 4 * ceil_div(k, kFp8ScaleBlock));
    case Precision::kInt8:
      return panels * width * (kInt8Step * ceil_div(k, kInt8Step) + 2 * ceil_div(k, kInt8Block));
  }
  return 0;
}

int64_t packed_both_ways(const WeightMatrix& w, Precision precision) {
  const auto panels = [&](int64_t k, int64_t n) {
    return precision == Precision::kF32 ? f32_panels(k, n) : quantized_panels(k, n, precision);
  };
  return w.stored * (panels(w.k, w.n) + panels(w.n, w.k));
}

int64_t stored_all(const WeightMatrix& w, Precision storage) { return w.stored * stored_panels(w.k, w.n, storage); }
int64_t stored_used(const WeightMatrix& w, Precision storage) { return w.used * stored_panels(w.k, w.n, storage); }

using MatrixBytes = std::function<int64_t(const WeightMatrix&, Precision)>;

// How many layers have each part.
struct LayerCounts {
  int64_t attention, dense_ffn, moe;
};

int64_t layer_bytes(const ModelShape& s, const std::vector<WeightMatrix>& attention, const LayerCounts& layers, Precision precision,
                    const MatrixBytes& bytes) {
  const auto sum = [&](const std::vector<WeightMatrix>& matrices) {
    int64_t all = 0;
    for (const WeightMatrix& w : matrices) all += bytes(w, precision);
    return all;
  };
  const int64_t moe = sum(routed_expert_matrices(s)) + sum(shared_expert_matrices(s)) + bytes(router_matrix(s), Precision::kF32 /*always*/);
  return layers.attention * sum(attention) + layers.dense_ffn * sum(dense_ffn_matrices(s)) + (layers.moe > 0 ? layers.moe * moe : 0);
}

LayerCounts main_layers(const ModelShape& s) { return {s.attention_layers, s.plain_ffn_layers(), s.moe_layers()}; }
LayerCounts mtp_layers(const ModelShape& s) { return {s.mtp, s.is_moe() ? 0 : s.mtp, s.is_moe() ? s.mtp : 0}; }

int64_t served_bytes(const ModelShape& s, Precision storage, const MatrixBytes& bytes) {
  const Precision of_head = storage == Precision::kFp8 ? Precision::kBf16 : storage;  // V3 section 3.3 keeps the head out of FP8
  return layer_bytes(s, absorbed_attention_matrices(s), main_layers(s), storage, bytes) + bytes(head_matrix(s), of_head);
}

}  // namespace

int64_t packed_weight_bytes(const ModelShape& s, Precision precision) {
  if (packs_nothing()) return 0;
  const std::vector<WeightMatrix> attention = attention_matrices(s);
  return layer_bytes(s, attention, main_layers(s), precision, packed_both_ways) +
         layer_bytes(s, attention, mtp_layers(s), precision, packed_both_ways) +
         s.mtp * packed_both_ways(eh_proj_matrix(s), Precision::kF32) + packed_both_ways(head_matrix(s), Precision::kF32);
}

int64_t stored_weight_bytes(const ModelShape& s, Precision storage, bool drafts) {
  int64_t all = served_bytes(s, storage, stored_all), moe_layers = s.is_moe() ? s.moe_layers() : 0;
  if (drafts) {
    all +=
        layer_bytes(s, absorbed_attention_matrices(s), mtp_layers(s), storage, stored_all) + s.mtp * stored_all(eh_proj_matrix(s), storage);
    moe_layers += mtp_layers(s).moe;
  }
  if (!packs_nothing()) return all;
  // f32 is packed when a pass first reads it; what is stored has the same panels under `ref`, and only the routers have none.
  if (storage == Precision::kF32) return 0;
  return all - (moe_layers > 0 ? moe_layers * stored_all(router_matrix(s), Precision::kF32) : 0);
}

int64_t decoded_weight_bytes(const ModelShape& s, Precision storage) {
  return packs_nothing() ? 4 * count_parameters(s).matmul(false) : served_bytes(s, storage, stored_used);
}

}  // namespace finback
