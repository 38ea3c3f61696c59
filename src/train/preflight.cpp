#include "train/preflight.h"

#include <algorithm>
#include <map>

#include "base/fields.h"
#include "base/json.h"
#include "base/program_name.h"
#include "cost/prices.h"
#include "kernels/backend.h"
#include "model/checkpoint.h"
#include "model/model_folder.h"
#include "model/stored_mtp.h"
#include "model/stored_quantization.h"
#include "tokenizer/tokenizer.h"
#include "train/run_folder.h"
#include "train/schedule.h"

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
  Tokenizer::load(feed.tokenizer_folder());
  FB_CHECK(!config.eval.sample_prompt.empty(),
           "eval.sample_prompt: expected some text, got none. Hint: --eval.sample_tokens=0 makes no samples");
  FB_CHECK(config.eval.sample_tokens < shape.max_position_embeddings,
           "eval.sample_tokens: expected less than the model's max_position_embeddings = {}, got {}", shape.max_position_embeddings,
           config.eval.sample_tokens);
}

std::vector<ChangedKey> changed_keys(ModelConfig saved, ModelConfig asked) {
  for (ModelConfig* config : {&saved, &asked}) {
    config->torch_dtype = "float32";
    config->fp8_weights = false;
    config->other = Json::object();
  }
  const Json before = dump_model_config(saved), after = dump_model_config(asked);
  Json keys = before;
  keys.update(after);
  std::vector<ChangedKey> changed;
  for (const auto& [key, value] : keys.items()) {
    const Json old_value = before.value(key, Json()), new_value = after.value(key, Json());
    if (old_value != new_value) changed.push_back({key, dump_json_line(old_value), dump_json_line(new_value)});
  }
  return changed;
}

namespace {

// Ids mean nothing to weights that were trained with another vocab of the same size.
void check_same_vocab(const fs::path& model, const fs::path& tokens) {
  const fs::path theirs = model / "tokenizer.json", ours = tokens / "tokenizer.json";
  if (tokens.empty() || !fs::exists(theirs) || !fs::exists(ours)) return;
  // In any order of the file.
  const auto vocab = [](const fs::path& file) {
    const Json json = read_json(file).value("model", Json::object()).value("vocab", Json::object());
    std::map<std::string, Json> ids;
    for (const auto& [token, id] : json.items()) ids[token] = id;
    return ids;
  };
  FB_CHECK(vocab(theirs) == vocab(ours),
           "train.init: expected tokens of that model's tokenizer, got those of {}, whose vocab differs. Hint: finback tokenize CORPUS "
           "--tokenizer {} --out DIR",
           tokens.string(), model.string());
}

// What would make the run's model the one that the weights are of, whose config is `there`.
std::string init_hint(const std::string& init, const ModelConfig& there, const ModelConfig& shape, const std::vector<ChangedKey>& changed,
                      bool is_base) {
  std::vector<std::string> steps, laid_over;
  for (const ChangedKey& change : changed) {
    const bool mtp = change.key == "num_nextn_predict_layers", more_ids = change.key == "vocab_size" && shape.vocab_size > there.vocab_size;
    if (!mtp && !more_ids) laid_over.push_back("--model." + change.key);
  }
  if (!laid_over.empty())
    steps.push_back(is_base ? fmt::format("leave out {}", fmt::join(laid_over, ", ")) : fmt::format("--model.config={}", init));
  if (there.num_nextn_predict_layers != shape.num_nextn_predict_layers)
    steps.push_back(fmt::format("--model.num_nextn_predict_layers={}", there.num_nextn_predict_layers));
  if (shape.vocab_size > there.vocab_size)
    steps.push_back(fmt::format("tokens of its {} ids (finback tokenize CORPUS --tokenizer {} --out DIR)", there.vocab_size, init));
  return fmt::format("{}", fmt::join(steps, "; "));
}

// A message without the hint at its end.
std::string without_hint(const std::string& message) { return message.substr(0, message.find(". Hint: ")); }

}  // namespace

void check_init(const std::string& init, const ModelConfig& shape, const fs::path& root, const fs::path& tokenizer_folder,
                const std::string& base_config) {
  if (init.empty()) return;
  FB_CHECK(fs::exists(init), "train.init: nothing is at {}", init);
  const fs::path inside = fs::weakly_canonical(init).lexically_relative(fs::weakly_canonical(root));
  const bool below = !inside.empty() && *inside.begin() != "..";
  FB_CHECK(!below || (*inside.begin() != "." && !is_run_file(inside.begin()->string())),
           "train.init: expected a folder outside {}, got {}, which the new run would remove. Hint: --run.name=NAME gives the new run a "
           "folder of its own",
           root.string(), init);
  const fs::path folder = find_model_folder(init);
  check_stored_quantization(folder);
  check_same_vocab(folder, tokenizer_folder);
  inherited_files(folder);  // readable
  ModelConfig there = load_model_config(folder);
  // What may differ: weights that are read were not drawn, ids follow the tokenizer, a context has no tensor.
  there.initializer_range = shape.initializer_range, there.max_position_embeddings = shape.max_position_embeddings;
  there.bos_token_id = shape.bos_token_id, there.eos_token_id = shape.eos_token_id;
  there.num_nextn_predict_layers = std::min(there.num_nextn_predict_layers, stored_mtp_modules(SafetensorsFolder(folder), there));
  std::vector<ChangedKey> changed = changed_keys(there, shape);
  std::erase_if(changed, [](const ChangedKey& change) {  // follow from others
    return change.key == "num_key_value_heads" || change.key == "architectures" || change.key == "model_type";
  });
  try {
    check_weights(folder, shape);
  } catch (const Error& e) {
    if (changed.empty()) throw;
    std::vector<std::string> keys;
    for (const ChangedKey& change : changed) keys.push_back(fmt::format("{} = {} and not {}", change.key, change.saved, change.asked));
    std::error_code ignored;
    const bool is_base =
        !base_config.empty() && (fs::equivalent(base_config, init, ignored) || fs::equivalent(base_config, folder, ignored) ||
                                 fs::equivalent(base_config, folder / "config.json", ignored));
    FB_FAIL("train.init: {}. The weights there have {}. Hint: {}", without_hint(e.what()), fmt::join(keys, ", "),
            init_hint(init, there, shape, changed, is_base));
  }
}

namespace {

// Why the steps so far do not belong to a run of the length that is asked for, and from which checkpoint on they would.
void check_length(const TrainerState& saved, const TrainConfig& recipe, const TrainConfig& config, const ModelConfig& shape,
                  const fs::path& root) {
  const RunLength before = run_length(recipe.train, recipe.data.seq_len), after = run_length(config.train, config.data.seq_len);
  if (before.tokens == after.tokens) return;
  FB_CHECK(after.tokens >= saved.tokens,
           "{}: train.steps: expected at least the {} steps that are trained, got {}. Hint: --run.name=NAME starts another run",
           root.string(), saved.step, after.steps);
  const std::optional<int64_t> apart = first_step_apart(recipe, config, shape, saved.step);
  if (!apart) return;
  std::string hint =
      fmt::format("--run.name=NAME --train.init={} starts another run from these weights", shell_word((root / "latest").string()));
  std::optional<int64_t> earlier;
  for (const int64_t step : finished_steps(root)) {
    if (step > 0 && step < *apart) earlier = step;
  }
  if (earlier)
    hint = fmt::format("{} is before that: it goes on as the longer run when the later step folders are removed; or {}",
                       step_name(*earlier), hint);
  FB_FAIL("{}: {} steps cannot become {} ({}): step {} was trained as a run of {} steps has it, and one of {} has it otherwise. Hint: {}",
          root.string(), before.steps, after.steps, config.train.steps > 0 ? "train.steps" : "train.tokens", *apart, before.steps,
          after.steps, hint);
}

}  // namespace

void check_resumable(const TrainerState& saved, const TrainConfig& config, const ModelConfig& shape, bool allow_other_kernels,
                     const fs::path& root) {
  const std::string hint = fmt::format(
      "Hint: with this change --run.name=NAME --train.init={} starts another run from these weights, without "
      "--train.init from none; what may change is marked in finback train --help",
      shell_word((root / "latest").string()));
  const fs::path folder = root / step_name(saved.step);
  const std::string where = (folder / "trainer.json").string();
  TrainConfig recipe;
  load_fields(recipe, saved.recipe, where + " [recipe]");
  if (const auto changed = first_changed_key(recipe, config)) {
    FB_FAIL("{}: expected {} = {} as in the run so far, got {}. {}", root.string(), changed->key, changed->saved, changed->asked, hint);
  }
  // The recipe may name a config.json, which can have changed since.
  if (const auto changed = changed_keys(load_model_config(folder), shape); !changed.empty()) {
    FB_FAIL("{}: expected a model with {} = {} as in the run so far, got {}. {}", root.string(), changed[0].key, changed[0].saved,
            changed[0].asked, hint);
  }
  check_length(saved, recipe, config, shape, root);
  const at::Device device(config.run.device);
  if (!device.is_cpu()) return;  // there ops run their references, under every variant and whatever label an older program gave the run
  const std::string kernels = kernel_label_on(device);
  FB_CHECK(allow_other_kernels || saved.kernels == kernels,
           "{}: expected kernels {} as in the run so far, got {}. Hint: --kernels={}, or --allow-other-kernels (same training, other bits)",
           where, saved.kernels, kernels, saved.kernels);
}

}  // namespace finback
