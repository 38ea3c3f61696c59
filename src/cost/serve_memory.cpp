#include "cost/serve_memory.h"

#include "cost/cache_bytes.h"
#include "cost/parameter_count.h"
#include "cost/program_memory.h"

namespace finback {

double stored_bytes_per_weight(Precision storage) {
  switch (storage) {
    case Precision::kF32:
      return 4;
    case Precision::kBf16:
      return 2;
    case Precision::kInt8:
      return 1 + 2.0 / 32;
    case Precision::kFp8:
      return 1 + 4.0 / (128 * 32);
  }
  return 0;
}

double serve_memory(const ModelConfig& c, Precision storage, int64_t cached_tokens) {
  const ModelShape shape = shape_of(c);
  const ParameterCount count = count_parameters(shape);
  const double head = double(count.head), wide = double(count.layers.router + count.layers.expert_bias + count.layers.norms);
  const double projections = double(count.total() - (count.tied ? 0 : count.embedding)) - head - wide;
  const Precision of_head = storage == Precision::kFp8 ? Precision::kBf16 : storage;
  const double panels = 4 * wide + stored_bytes_per_weight(of_head) * head + stored_bytes_per_weight(storage) * projections;
  return kProgramBytes + 4 * double(count.total_with_mtp()) + panels +
         double(cached_tokens) * double(cache_bytes_per_token(shape, 4, true));
}

}  // namespace finback
