#include "cost/serve_memory.h"

#include "cost/cache_bytes.h"
#include "cost/panel_bytes.h"
#include "cost/parameter_count.h"
#include "cost/program_memory.h"

namespace finback {

double serve_memory(const ModelConfig& c, Precision storage, int64_t cached_tokens) {
  const ModelShape shape = shape_of(c);
  const double weights = 4 * double(count_parameters(shape).total_with_mtp()), stored = double(stored_weight_bytes(shape, storage));
  return kProgramBytes + weights + stored + double(cached_tokens) * double(cache_bytes_per_token(shape, 4, /*with_mtp=*/true));
}

}  // namespace finback
