#include "train/preflight.h"

#include "base/fields.h"
#include "cost/prices.h"
#include "kernels/backend.h"
#include "train/run_folder.h"

namespace finback {
namespace fs = std::filesystem;

std::string price_row(const TrainConfig& config) {
  FB_CHECK(config.run.device == "cpu" || !config.bill.device.empty() || config.bill.rate > 0,
           "bill.device: expected the accelerator's row of the price table for run.device = cuda, got none. Hint: --bill.device=h200");
  return config.bill.device.empty() ? config.run.device : config.bill.device;
}

void check_before_start(const TrainConfig& config, const ModelConfig& shape, const RowFeed& feed, bool samples) {
  if (const std::string row = price_row(config); config.bill.rate <= 0) price_of(row);
  FB_CHECK(feed.validation_rows() > 0,
           "data.corpora: expected a validation split of at least one row of {} tokens in the first corpus, got none. Hint: a larger "
           "validation_share in the corpus recipe",
           config.data.seq_len);
  if (!samples || config.eval.sample_tokens == 0) return;
  FB_CHECK(!config.eval.sample_prompt.empty(),
           "eval.sample_prompt: expected some text, got none. Hint: --eval.sample_tokens=0 makes no samples");
  FB_CHECK(config.eval.sample_tokens < shape.max_position_embeddings,
           "eval.sample_tokens: expected less than the model's max_position_embeddings = {}, got {}", shape.max_position_embeddings,
           config.eval.sample_tokens);
}

std::optional<ChangedKey> first_changed_key(ModelConfig saved, ModelConfig asked) {
  for (ModelConfig* config : {&saved, &asked}) {
    config->torch_dtype = "float32";
    config->fp8_weights = false;
    config->other = Json::object();
  }
  const Json before = dump_model_config(saved), after = dump_model_config(asked);
  Json keys = before;
  keys.update(after);
  for (const auto& [key, value] : keys.items()) {
    const Json old_value = before.value(key, Json()), new_value = after.value(key, Json());
    if (old_value != new_value) return ChangedKey{key, dump_json_line(old_value), dump_json_line(new_value)};
  }
  return std::nullopt;
}

void check_resumable(const TrainerState& saved, const TrainConfig& config, const ModelConfig& shape, bool allow_other_kernels,
                     const fs::path& root) {
  constexpr const char* kHint = "Hint: --run.name=NAME starts another run, --overwrite starts this one again";
  const fs::path folder = root / step_name(saved.step);
  const std::string where = (folder / "trainer.json").string();
  TrainConfig recipe;
  load_fields(recipe, saved.recipe, where + " [recipe]");
  if (const auto changed = first_changed_key(recipe, config)) {
    FB_FAIL("{}: expected {} = {} as in the run so far, got {}. {}", root.string(), changed->key, changed->saved, changed->asked, kHint);
  }
  // The recipe may name a config.json, which can have changed since.
  if (const auto changed = first_changed_key(load_model_config(folder), shape)) {
    FB_FAIL("{}: expected a model with {} = {} as in the run so far, got {}. {}", root.string(), changed->key, changed->saved,
            changed->asked, kHint);
  }
  const at::Device device(config.run.device);
  if (!device.is_cpu()) return;  // there ops run their definitions, under every variant and whatever label an older program gave the run
  const std::string kernels = kernel_label_on(device);
  FB_CHECK(allow_other_kernels || saved.kernels == kernels,
           "{}: expected kernels {} as in the run so far, got {}. Hint: --kernels={}, or --allow-other-kernels (same training, other bits)",
           where, saved.kernels, kernels, saved.kernels);
}

}  // namespace finback
