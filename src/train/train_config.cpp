#include "train/train_config.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <set>
#include <string_view>

#include "base/fields.h"
#include "base/program_name.h"
#include "base/status_line.h"
#include "base/toml.h"
#include "model/config_json.h"
#include "model/model_config_rules.h"
#include "model/model_folder.h"
#include "model/transformers_class.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

// What a resumed run may change: nothing here reaches the weights. A key ending in "." stands for its whole section.
constexpr std::string_view kFreeKeys[] = {"eval.", "checkpoint.", "bill.", "run.dir", "run.name", "train.micro_batch_tokens"};

void one_of(const std::string& key, const std::string& got, std::initializer_list<const char*> allowed) {
  std::string list;
  for (const char* word : allowed) {
    if (got == word) return;
    list += (list.empty() ? "" : ", ") + std::string(word);
  }
  FB_FAIL("{}: expected one of {}, got \"{}\"", key, list, got);
}

void in_range(const char* key, double got, double low, double high) {
  FB_CHECK(std::isfinite(got) && got >= low && got <= high, "{}: expected {} to {}, got {}", key, low, high, got);
}

void at_least(const char* key, int64_t got, int64_t low) { FB_CHECK(got >= low, "{}: expected at least {}, got {}", key, low, got); }

void validate_batch(const TrainConfig& c) {
  const TrainSection& t = c.train;
  at_least("data.seq_len", c.data.seq_len, 2);
  at_least("train.batch_tokens", t.batch_tokens, c.data.seq_len);
  FB_CHECK((t.steps > 0) != (t.tokens > 0), "train: expected either steps or tokens above 0, got steps = {}, tokens = {}", t.steps,
           t.tokens);
  const auto whole_rows = [&](const char* key, int64_t tokens) {
    FB_CHECK(tokens >= 0 && tokens % c.data.seq_len == 0, "{}: expected a multiple of data.seq_len = {}, got {}", key, c.data.seq_len,
             tokens);
  };
  whole_rows("train.batch_tokens", t.batch_tokens);
  whole_rows("train.micro_batch_tokens", t.micro_batch_tokens);
  whole_rows("train.ramp_from_tokens", t.ramp_from_tokens);
  FB_CHECK(t.micro_batch_tokens <= t.batch_tokens, "train.micro_batch_tokens: expected at most train.batch_tokens = {}, got {}",
           t.batch_tokens, t.micro_batch_tokens);
  FB_CHECK(t.ramp_from_tokens <= t.batch_tokens, "train.ramp_from_tokens: expected at most train.batch_tokens = {}, got {}", t.batch_tokens,
           t.ramp_from_tokens);
  FB_CHECK((t.ramp_from_tokens > 0) == (t.ramp_tokens > 0),
           "train: expected ramp_from_tokens and ramp_tokens both or neither, got {} and {}", t.ramp_from_tokens, t.ramp_tokens);
}

void validate_losses(const TrainConfig& c) {
  const TrainSection& t = c.train;
  one_of("train.precision", t.precision, {"f32", "bf16", "fp8"});
  if (!t.wgrad_precision.empty()) one_of("train.wgrad_precision", t.wgrad_precision, {"f32", "bf16", "fp8"});
  FB_CHECK(
      t.precision != "f32" || t.wgrad_precision.empty() || t.wgrad_precision == "f32",
      "train.wgrad_precision: expected f32 beside train.precision = f32, got {}. Hint: it may keep more than train.precision, not less",
      t.wgrad_precision);
  at_least("train.audit_every", t.audit_every, 0);
  in_range("train.snr_forward_db", t.snr_forward_db, -200, 200);
  in_range("train.snr_gradient_db", t.snr_gradient_db, -200, 200);
  one_of("train.mla_algebra", t.mla_algebra, {"expanded", "absorbed"});
  in_range("train.mtp_lambda", t.mtp_lambda, 0, 10);
  in_range("train.mtp_lambda_late", t.mtp_lambda_late, 0, 10);
  in_range("train.mtp_switch", t.mtp_switch, 0, 1);
  in_range("train.balance_alpha", t.balance_alpha, 0, 10);
  in_range("train.bias_update_speed", t.bias_update_speed, 0, 1);
  in_range("train.bias_update_stop", t.bias_update_stop, 0, 1);
  in_range("train.z_loss", t.z_loss, 0, 1);
  in_range("train.grad_clip", t.grad_clip, 0, 1e30);
}

void validate_optimizer(const TrainConfig& c) {
  const OptimizerSection& o = c.optimizer;
  in_range("optimizer.lr", o.lr, 0, 1e30);
  in_range("optimizer.beta1", o.beta1, 0, 0.999999);
  in_range("optimizer.beta2", o.beta2, 0, 0.99999999);
  in_range("optimizer.eps", o.eps, 1e-30, 1);
  in_range("optimizer.weight_decay", o.weight_decay, 0, 100);
  const ScheduleSection& s = c.schedule;
  one_of("schedule.kind", s.kind, {"v3", "wsd", "cosine", "constant"});
  at_least("schedule.warmup_steps", s.warmup_steps, 0);
  in_range("schedule.min_share", s.min_share, 0, 1);
  in_range("schedule.last_share", s.last_share, 0, 1);
  in_range("schedule.decay_share", s.decay_share, 0, 1);
  in_range("schedule.constant_until", s.constant_until, 0, 1);
  in_range("schedule.cosine_until", s.cosine_until, s.constant_until, 1);
  in_range("schedule.floor_until", s.floor_until, s.cosine_until, 1);
}

// A run folder may have been moved or renamed since its config.toml was written.
void name_after_folder(RunSection& run, const fs::path& given) {
  fs::path folder = given.lexically_normal();
  if (!folder.has_filename()) folder = folder.parent_path();  // a slash at the end
  if (folder.filename() == "." || folder.filename() == "..") folder = fs::canonical(folder);
  run.name = folder.filename().string();
  run.dir = folder.has_parent_path() ? folder.parent_path().string() : ".";
}

// See Note [Paths]. Two different files of one name are a choice that is said.
void find_path(std::string& path, const fs::path& folder) {
  if (path.empty() || fs::path(path).is_absolute()) return;
  const fs::path beside = fs::absolute(folder / path).lexically_normal(), here = fs::absolute(path).lexically_normal();
  std::error_code ignored;
  const bool is_beside = fs::exists(beside, ignored), is_here = fs::exists(here, ignored);
  if (is_beside && is_here && !fs::equivalent(beside, here))
    warn(fmt::format("{}: there are {} and {}; the one beside the recipe is read", path, beside.string(), here.string()));
  if (is_beside || is_here) path = (is_beside ? beside : here).string();
}

void find_paths(TrainConfig& config, const fs::path& folder) {
  for (DataSource& source : config.data.corpora) find_path(source.path, folder);
  find_path(config.model.config, folder);
  find_path(config.train.init, folder);
}

// A folder alone is a list of one.
std::string corpora_of(const std::string& text) {
  return text.empty() || text[0] == '[' ? text : dump_json_line(Json::array({{{"path", text}}}));
}

// The same place, written by programs that kept relative paths and by this one.
bool same_place(const std::string& a, const std::string& b) {
  const fs::path x = fs::path(a).lexically_normal(), y = fs::path(b).lexically_normal();
  const auto ends_with = [](const fs::path& whole, const fs::path& end) {
    return !end.empty() && end.is_relative() && whole.string().ends_with("/" + end.string());
  };
  return x == y || ends_with(x, y) || ends_with(y, x);
}

void flatten(const Json& value, const std::string& prefix, std::vector<std::pair<std::string, std::string>>& out) {
  if (!value.is_object()) {
    out.emplace_back(prefix, dump_json_line(value));
    return;
  }
  for (const auto& [key, inner] : value.items()) flatten(inner, prefix.empty() ? key : prefix + "." + key, out);
}

}  // namespace

TrainConfig load_train_config(const fs::path& recipe, const std::vector<std::pair<std::string, std::string>>& overrides) {
  // RUN/config.toml is RUN, wherever it was moved: its name and place are those of the folder.
  const bool in_run = recipe.filename() == "config.toml" && fs::exists(fs::absolute(recipe).parent_path() / "attempts.jsonl");
  const bool is_run = fs::is_directory(recipe) || in_run;
  const fs::path run = in_run ? fs::absolute(recipe).parent_path() : recipe, file = is_run ? run / "config.toml" : recipe;
  const fs::path above = fs::absolute(recipe).lexically_normal().parent_path();
  const bool in_step = is_run && !fs::exists(file) && fs::exists(above / "config.toml");  // RUN/latest, RUN/step-000500
  FB_CHECK(fs::exists(file), "{}: no such recipe. Hint: {}", file.string(),
           in_step ? fmt::format("did you mean {}?",
                                 shell_word(recipe.has_filename() ? recipe.parent_path().string() : above.parent_path().string()))
                   : "a TOML file as in configs/recipes, or a run folder");
  TrainConfig config;
  load_fields(config, read_toml(file), file.string());
  find_paths(config, fs::absolute(file).parent_path());
  if (is_run) name_after_folder(config.run, run);
  std::set<std::string> given;
  // A model that is named on the command line is meant whole: the recipe's own keys would make another of it.
  const bool names_model = std::any_of(overrides.begin(), overrides.end(), [](const auto& o) { return o.first == "model.config"; });
  if (names_model && !is_run) {
    ModelSection none;
    if (dump_fields(config.model) != dump_fields(none))
      config.remark = fmt::format("{}: its [model] section gives way to --model.config", file.string());
    config.model = none;
  }
  for (const auto& [path, text] : overrides) {
    FB_CHECK(given.insert(path).second, "--{}: given twice", path);
    set_field(config, path, path == "data.corpora" ? corpora_of(text) : text);
  }
  find_paths(config, fs::current_path());
  if (config.run.name.empty()) config.run.name = recipe.stem().string();
  validate(config);
  return config;
}

void validate(const TrainConfig& c) {
  FB_CHECK(!c.run.name.empty() && c.run.name.find('/') == std::string::npos && c.run.name != "." && c.run.name != "..",
           "run.name: expected a folder name, got \"{}\"", c.run.name);
  one_of("run.device", c.run.device, {"cpu", "cuda"});
  at_least("run.seed", c.run.seed, 0);
  FB_CHECK(!c.data.corpora.empty(), "data.corpora: expected at least one [[data.corpora]] with a path, got none");
  for (const DataSource& source : c.data.corpora) {
    FB_CHECK(!source.path.empty(), "data.corpora: expected a path, got an empty one");
    in_range("data.corpora: weight", source.weight, 1e-9, 1e9);
  }
  validate_batch(c);
  validate_losses(c);
  validate_optimizer(c);
  at_least("eval.every", c.eval.every, 0);
  at_least("eval.tokens", c.eval.tokens, 0);
  at_least("eval.sample_every", c.eval.sample_every, 0);
  at_least("eval.sample_tokens", c.eval.sample_tokens, 0);
  at_least("checkpoint.every", c.checkpoint.every, 0);
  at_least("checkpoint.keep_last", c.checkpoint.keep_last, 1);
  at_least("checkpoint.keep_every", c.checkpoint.keep_every, 0);
  in_range("bill.rate", c.bill.rate, 0, 1e6);
}

void check_paths(const TrainConfig& config) {
  const auto check = [](const char* key, const std::string& path) {
    FB_CHECK(path.empty() || fs::exists(path), "{}: nothing is at {}{}", key, path,
             fs::path(path).is_absolute() ? "" : ", seen from the recipe's folder and from the working folder");
  };
  for (const DataSource& source : config.data.corpora) check("data.corpora: path", source.path);
  check("model.config", config.model.config);
}

namespace {

fs::path base_config_of(const ModelSection& section) {
  return fs::is_directory(section.config) ? find_model_folder(section.config) / "config.json" : fs::path(section.config);
}

}  // namespace

Json resolve_model_keys(const TrainConfig& config, int64_t tokenizer_vocab, std::optional<int64_t> bos, std::optional<int64_t> eos) {
  ModelSection section = config.model;
  Json json = plain_model_keys();
  if (!section.config.empty()) {
    const fs::path path = base_config_of(section);
    json = settable_keys(read_config_json(path), path.string());
  }
  json["model_type"] = json.value("model_type", "deepseek_v3");
  // Weights that are read keep their rows: a padded embedding has more than the tokenizer has tokens.
  const bool keeps_rows = !config.train.init.empty() && json.contains("vocab_size");
  json["vocab_size"] = keeps_rows ? std::max(json["vocab_size"].get<int64_t>(), tokenizer_vocab) : tokenizer_vocab;
  if (bos) json["bos_token_id"] = *bos;
  if (eos) json["eos_token_id"] = *eos;
  const Json overrides = dump_fields(section);  // named: items() refers to it
  for (const auto& [key, value] : overrides.items()) {
    if (key != "config" && !value.is_null()) json[key] = value;
  }
  if (section.q_lora_rank == 0) json["q_lora_rank"] = nullptr;
  return json;
}

ModelConfig resolve_model_config(const TrainConfig& config, int64_t tokenizer_vocab, std::optional<int64_t> bos,
                                 std::optional<int64_t> eos) {
  const std::string what =
      config.model.config.empty() ? "recipe [model]" : base_config_of(config.model).string() + " with the recipe's [model]";
  const ModelConfig model = parse_model_config(resolve_model_keys(config, tokenizer_vocab, bos, eos), what);
  check_transformers_class(model, what);
  FB_CHECK(!model.other.contains("attention_dropout"),
           "{}: attention_dropout: expected 0, got {}: training with dropout is not built. Hint: 0 in a copy of that config.json trains "
           "without",
           what, dump_json_line(model.other["attention_dropout"]));
  FB_CHECK(model.vocab_size >= tokenizer_vocab, "model.vocab_size: expected at least the tokenizer's {}, got {}", tokenizer_vocab,
           model.vocab_size);
  FB_CHECK(model.max_position_embeddings >= config.data.seq_len,
           "data.seq_len: expected at most the model's max_position_embeddings = {}, got {}", model.max_position_embeddings,
           config.data.seq_len);
  return model;
}

OnResume on_resume(const std::string& key) {
  if (key == "train.steps" || key == "train.tokens") return OnResume::kLonger;
  for (const std::string_view free : kFreeKeys) {
    if (free.ends_with('.') ? key.starts_with(free) : key == free) return OnResume::kAlways;
  }
  return OnResume::kNever;
}

std::optional<ChangedKey> first_changed_key(TrainConfig saved, TrainConfig asked) {
  if (!same_place(saved.train.init, asked.train.init)) return ChangedKey{"train.init", saved.train.init, asked.train.init};
  for (TrainConfig* config : {&saved, &asked}) {
    for (DataSource& source : config->data.corpora) source.path.clear();
    config->model.config.clear(), config->train.init.clear();
  }
  std::vector<std::pair<std::string, std::string>> old_keys, new_keys;
  flatten(dump_fields(saved), "", old_keys);
  flatten(dump_fields(asked), "", new_keys);
  FB_ASSERT(old_keys.size() == new_keys.size(), "one field list gives one set of keys");
  for (size_t i = 0; i < old_keys.size(); ++i) {
    const auto& [key, before] = old_keys[i];
    if (before != new_keys[i].second && on_resume(key) == OnResume::kNever) return ChangedKey{key, before, new_keys[i].second};
  }
  return std::nullopt;
}

}  // namespace finback
