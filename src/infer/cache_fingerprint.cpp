#include "infer/cache_fingerprint.h"

#include <fmt/format.h>
#include <xxhash.h>

#include "kernels/backend.h"
#include "kernels/stored_weight.h"
#include "model/model_config.h"
#include "model/weights.h"

namespace finback {
CacheKey cache_fingerprint(Transformer& model, const KvCache& cache, const std::string& weights) {
  ModelConfig config = model.config();
  config.other = Json::object();  // keys that no arithmetic knows
  std::string storage;
  model.for_each_weight([&](LayerMatrix& matrix) {
    storage += matrix.stored ? precision_name(matrix.stored->precision()) : "packed " + precision_name(matrix.packed.precision());
    storage += ",";
  });
  const std::string text =
      fmt::format("arithmetic {}\nweights {}\nconfig {}\nstorage {}\nkernels {} on {}\ncache {} {} x {}\n", kLatentArithmetic, weights,
                  dump_json_line(dump_model_config(config)), storage, kernel_label_on(model.device()),
                  model.device().is_cpu() ? "cpu" : "gpu", cache.dtype_name(), cache.layers(), cache.page_bytes());
  const XXH128_hash_t hash = XXH3_128bits(text.data(), text.size());
  return {hash.low64, hash.high64};
}

}  // namespace finback
