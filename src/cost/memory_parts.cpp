#include "cost/memory_parts.h"

#include <algorithm>

#include "base/error.h"
#include "base/timer.h"
#include "cost/cache_bytes.h"
#include "cost/panel_bytes.h"
#include "cost/parameter_count.h"
#include "cost/train_memory.h"
#include "cost/weight_matrices.h"
#include "kernels/stored_weight.h"

namespace finback {
namespace {

// What a model keeps in f32 when its projections and head are stored otherwise.
int64_t f32_beside_stored(const ParameterCount& count, bool drafts) {
  const auto of = [](const LayerParameters& p) { return p.router + p.norms + p.latent_norms + p.expert_bias; };
  return count.embedding + of(count.layers) + (drafts ? of(count.mtp) : 0);
}

// Rows of a matrix on their way into panels: as they lie in the file, in f32 and as codes, 8 bytes a number.
double loading_bytes(const ModelShape& shape) {
  int64_t largest = head_matrix(shape).n * head_matrix(shape).k;
  for (const auto& matrices : {attention_matrices(shape), dense_ffn_matrices(shape), routed_expert_matrices(shape)}) {
    for (const WeightMatrix& w : matrices) largest = std::max(largest, w.n * w.k);
  }
  return 8.0 * double(std::min(kCodesAtOnce, largest));
}

}  // namespace

std::vector<MemoryPart> memory_parts(const ModelConfig& config, const MemoryUse& use) {
  if (use.trains) {
    const TrainMemory m = train_memory(config, use.tokens, use.precision);
    return {{"weights", m.weights},         {"gradients", m.gradients}, {"optimizer", m.optimizer}, {"packed_weights", m.packed_weights},
            {"activations", m.activations}, {"working", m.working},     {"program", kProgramBytes}};
  }
  const ModelShape shape = shape_of(config);
  const bool f32 = use.precision == Precision::kF32;  // else MTP modules are loaded where they draft alone
  return {{"weights", 4 * double(f32 ? count_parameters(shape).total_with_mtp() : f32_beside_stored(count_parameters(shape), use.drafts))},
          {"packed_weights", double(stored_weight_bytes(shape, use.precision, use.drafts))},
          {"cache", double(use.tokens) * double(cache_bytes_per_token(shape, 4, use.drafts))},
          {"loading", f32 ? 0 : loading_bytes(shape)},
          {"program", kProgramBytes}};
}

double total_bytes(const std::vector<MemoryPart>& parts) {
  double bytes = 0;
  for (const MemoryPart& part : parts) bytes += part.bytes;
  return bytes;
}

void check_memory(const std::vector<MemoryPart>& parts, double free_bytes, const std::string& limit, const std::string& hint) {
  if (total_bytes(parts) <= free_bytes) return;
  std::vector<MemoryPart> sorted = parts;
  std::stable_sort(sorted.begin(), sorted.end(), [](const MemoryPart& a, const MemoryPart& b) { return a.bytes > b.bytes; });
  std::string largest;
  for (size_t i = 0; i < std::min<size_t>(4, sorted.size()); ++i)
    largest += fmt::format("{}{} {}", i ? ", " : "", sorted[i].name, human_bytes(sorted[i].bytes));
  FB_FAIL("memory: expected at most {} ({}), got a need of {}: {}. Hint: {}", human_bytes(std::max(0.0, free_bytes)), limit,
          human_bytes(total_bytes(parts)), largest, hint);
}

}  // namespace finback
