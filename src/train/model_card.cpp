#include "train/model_card.h"

#include <fstream>

#include "base/file.h"
#include "base/json.h"
#include "base/timer.h"
#include "cost/parameter_count.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

// What a later conversion passes on as it is stands between these.
const std::string kMark = "<!-- finback model card -->\n", kBegin = "<!-- run -->\n", kEnd = "<!-- end of run -->\n";

// The value at "/data/seq_len"; null and absent are the same.
const Json* at_path(const Json& json, const std::string& path) {
  const Json::json_pointer pointer(path);
  if (!json.contains(pointer)) return nullptr;
  const Json& value = json.at(pointer);
  return value.is_null() ? nullptr : &value;
}

std::string shown(const Json& value) { return value.is_string() ? value.get<std::string>() : dump_json_line(value); }

double number_at(const Json& json, const char* key) {
  const Json* value = at_path(json, std::string("/") + key);
  return value && value->is_number() ? value->get<double>() : 0;
}

std::string row(const std::string& what, const std::string& value) { return fmt::format("| {} | {} |\n", what, value); }

std::string table(const std::string& rows) { return rows.empty() ? "" : "| | |\n|---|---|\n" + rows + "\n"; }

// Names of the corpora, without where they lay.
std::string corpora_of(const Json& recipe) {
  const Json* list = at_path(recipe, "/data/corpora");
  std::vector<std::string> names;
  if (list && list->is_array()) {
    for (const Json& corpus : *list) {
      const Json* path = at_path(corpus, "/path");
      fs::path name = path ? fs::path(shown(*path)) : fs::path();
      if (!name.has_filename()) name = name.parent_path();
      if (!name.empty()) names.push_back(name.filename().string());
    }
  }
  return fmt::format("{}", fmt::join(names, ", "));
}

std::string recipe_rows(const Json& trainer) {
  const std::pair<const char*, const char*> keys[] = {{"steps", "/step"},
                                                      {"tokens", "/tokens"},
                                                      {"sequence length, tokens", "/recipe/data/seq_len"},
                                                      {"batch, tokens", "/recipe/train/batch_tokens"},
                                                      {"precision of training", "/recipe/train/precision"},
                                                      {"peak learning rate", "/recipe/optimizer/lr"},
                                                      {"schedule", "/recipe/schedule/kind"},
                                                      {"seed", "/recipe/run/seed"},
                                                      {"machine", "/machine"},
                                                      {"kernels", "/kernels"}};
  std::string rows;
  if (const Json* recipe = at_path(trainer, "/recipe")) {
    if (const std::string corpora = corpora_of(*recipe); !corpora.empty()) rows += row("corpora", corpora);
  }
  for (const auto& [what, path] : keys) {
    if (const Json* value = at_path(trainer, path); value && !shown(*value).empty()) rows += row(what, shown(*value));
  }
  if (const Json* init = at_path(trainer, "/recipe/train/init"); init && !shown(*init).empty()) {
    rows += row("weights at the start", "another model's (train.init)");
  }
  return rows;
}

// The last step and the last evaluation of metrics.jsonl up to the checkpoint's step. The file is read line by line: it grows with the run.
std::string figure_rows(const fs::path& metrics, double step) {
  std::ifstream lines(metrics);
  Json last_step, last_eval;
  for (std::string line; std::getline(lines, line);) {
    const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!json.is_object() || number_at(json, "step") > step) continue;
    const Json* kind = at_path(json, "/kind");
    if (kind && *kind == "step") last_step = json;
    if (kind && *kind == "eval") last_eval = json;
  }
  std::string rows;
  const auto add = [&](const char* what, const Json& line, const char* key) {
    if (const Json* value = at_path(line, std::string("/") + key); value && value->is_number())
      rows += row(what, fmt::format("{:.4f}", value->get<double>()));
  };
  add("training loss of the last step, nats per token", last_step, "main_loss");
  add("validation loss, nats per token", last_eval, "val_loss");
  add("validation, bits a byte", last_eval, "val_bpb");
  return rows;
}

std::string cost_text(const fs::path& file, double tokens) {
  if (!fs::exists(file)) return "The run has no bill: it had not come to its end.\n\n";
  const Json bill = read_json(file);
  const auto text = [&](const char* key) { return at_path(bill, std::string("/") + key) ? shown(bill[key]) : std::string(); };
  std::string rows = row("hours of the run", fmt::format("{:.4g}", number_at(bill, "wall_hours")));
  rows += row("devices",
              fmt::format("{} x {}", number_at(bill, "devices"), text("device_name").empty() ? text("device") : text("device_name")));
  rows += row("device-hours", fmt::format("{:.4g}", number_at(bill, "device_hours")));
  rows += row("electricity, kWh", fmt::format("{:.4g} ({})", number_at(bill, "energy_kwh"), text("energy_how")));
  rows += row("dollars", fmt::format("{:.4g}, at {:.4g} a device-hour ({})", number_at(bill, "usd"), number_at(bill, "usd_per_device_hour"),
                                     text("price_what")));
  const bool whole = number_at(bill, "tokens") == tokens;
  return table(rows) + (whole ? "" : fmt::format("The bill is that of the whole run, {} tokens.\n\n", text("tokens")));
}

std::string run_text(const fs::path& from) {
  const fs::path trainer_file = from / "trainer.json";
  if (!fs::exists(trainer_file)) return "The folder that this was converted from holds no record of its training.\n\n";
  const Json trainer = read_json(trainer_file);
  const fs::path run = fs::weakly_canonical(from).parent_path();
  std::string text = "A training run of finback.\n\n" + table(recipe_rows(trainer));
  text += "### Figures of the run\n\n";
  const std::string figures = figure_rows(run / "metrics.jsonl", number_at(trainer, "step"));
  text += figures.empty() ? "None: the run's metrics were not beside the checkpoint.\n\n" : table(figures);
  return text + "### What it cost\n\n" + cost_text(run / "bill.json", number_at(trainer, "tokens"));
}

// The account of an earlier card, or an empty text.
std::string passed_on(const std::string& card) {
  const size_t begin = card.find(kBegin), end = card.find(kEnd);
  if (card.find(kMark) == card.npos || begin == card.npos || end == card.npos || end < begin) return "";
  return card.substr(begin + kBegin.size(), end - begin - kBegin.size());
}

std::string what_text(const CardModel& model, bool has_tokenizer) {
  const ModelConfig& c = model.config;
  const ParameterCount count = count_parameters(shape_of(c));
  std::string rows = row("architecture", c.model_type);
  rows +=
      row("parameters", fmt::format("{} ({} active for a token)", human_count(double(count.total())), human_count(double(count.active()))));
  rows += row("layers, hidden size, heads", fmt::format("{}, {}, {}", c.num_hidden_layers, c.hidden_size, c.num_attention_heads));
  rows += row("routed experts, of which a token uses", fmt::format("{}, {}", c.n_routed_experts, c.num_experts_per_tok));
  const bool as_counted = model.mtp_modules == c.num_nextn_predict_layers;
  rows += row("MTP modules",
              fmt::format("{}{}", model.mtp_modules,
                          as_counted ? "" : fmt::format(" (num_nextn_predict_layers is {} all the same)", c.num_nextn_predict_layers)));
  rows += row("vocabulary, longest context", fmt::format("{}, {}", c.vocab_size, c.max_position_embeddings));
  rows += row("weights", fmt::format("{}, {} of safetensors", model.weights, human_bytes(double(model.weight_bytes))));
  rows += row("tokenizer", has_tokenizer ? "tokenizer.json in this folder" : "none in this folder: ids in, ids out");
  return table(rows);
}

std::string use_text(const CardModel& model, bool has_tokenizer) {
  std::string text = "With finback:\n\n```\n";
  text += has_tokenizer ? "finback generate THIS_FOLDER --prompt \"It was\"\n" : "finback generate THIS_FOLDER --ids 1,2,3 --json\n";
  if (model.weights == "int8")
    return text + "```\n\nThe matrices are int8 panels as finback multiplies them, for serving: other programs do not read them.\n\n";
  text += "```\n\nWith transformers:\n\n```python\nfrom transformers import AutoModelForCausalLM, AutoTokenizer\n";
  text += "model = AutoModelForCausalLM.from_pretrained(\"THIS_FOLDER\", dtype=\"auto\")\n";
  if (has_tokenizer) {
    text += "tokenizer = AutoTokenizer.from_pretrained(\"THIS_FOLDER\")\n";
    text += "ids = tokenizer(\"It was\", return_tensors=\"pt\")\n";
    text += "print(tokenizer.decode(model.generate(**ids, max_new_tokens=40)[0]))\n";
  }
  text += "```\n\n";
  if (model.weights == "fp8")
    text +=
        "FP8 weights: transformers needs the package `accelerate` to load them. It multiplies them on a GPU, and widens them on "
        "other devices where its version can.\n\n";
  if (model.mtp_modules > 0) {
    text += fmt::format(
        "transformers reports the tensors of layer {} and on as unexpected: they are the MTP modules, which plain generation does not "
        "use.\n\n",
        model.config.num_hidden_layers);
  }
  return text;
}

}  // namespace

std::string random_model_card(const CardModel& model, uint64_t seed) {
  return kMark +
         fmt::format("# Random weights in the shape of a {} of {} parameters\n\n", model.config.model_type,
                     human_count(double(count_parameters(shape_of(model.config)).total()))) +
         fmt::format(
             "Every matrix is N(0, {}) of seed {}, written by `finback convert --random` for measurements. It was never trained: "
             "what it answers is noise.\n\n",
             model.config.initializer_range, seed) +
         what_text(model, /*has_tokenizer=*/false);
}

std::string model_card(const fs::path& from, const CardModel& model) {
  const bool has_tokenizer = fs::exists(from / "tokenizer.json");
  const std::string earlier = fs::exists(from / "README.md") ? read_file(from / "README.md") : "";
  const std::string account = passed_on(earlier);
  const std::string library = model.weights == "int8" ? "finback" : "transformers";
  std::string card = "---\nlibrary_name: " + library + "\npipeline_tag: text-generation\ntags:\n- finback\n---\n" + kMark;
  card += fmt::format("# A {} model of {} parameters\n\n", model.config.model_type,
                      human_count(double(count_parameters(shape_of(model.config)).total())));
  card += "Written by `finback convert`.\n\n## What it is\n\n" + what_text(model, has_tokenizer);
  card += "## How it was trained\n\n" + kBegin + (account.empty() ? run_text(from) : account) + kEnd;
  card += "\n## How to load it\n\n" + use_text(model, has_tokenizer);
  if (!earlier.empty() && account.empty()) card += "## README.md of the model that this was converted from\n\n" + earlier;
  return card;
}

}  // namespace finback
