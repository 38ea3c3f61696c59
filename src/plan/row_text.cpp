#include "plan/row_text.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdlib>

#include "cost/parameter_count.h"
#include "plan/shape_table.h"

namespace finback {
namespace {

std::string lower(std::string text) {
  for (char& c : text) c = char(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

bool digit(char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; }

// The number behind `word` ("tp8" -> 8), 0 when the word is not there with a number.
int64_t degree_in(const std::string& text, const std::string& word) {
  for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) {
    size_t from = at + word.size();
    if (at > 0 && std::isalpha(static_cast<unsigned char>(text[at - 1]))) continue;
    if (from < text.size() && (text[from] == '=' || text[from] == '-' || text[from] == ' ')) ++from;
    if (from < text.size() && digit(text[from])) return std::clamp<int64_t>(std::atoll(text.c_str() + from), 1, 65536);
  }
  return 0;
}

// "12.5b" ending at `end` (the place of the b) -> 12.5e9.
double billions_before(const std::string& text, size_t end) {
  size_t from = end;
  while (from > 0 && (digit(text[from - 1]) || text[from - 1] == '.')) --from;
  return from < end ? std::atof(text.substr(from, end - from).c_str()) : 0;
}

}  // namespace

bool has_word(const std::string& text, const std::string& word) { return lower(text).find(lower(word)) != std::string::npos; }

std::string row_words(const CsvTable& t, size_t row) {
  return t.cell(row, "schedule") + " " + t.cell(row, "notes") + " " + t.cell(row, "model") + " " + t.cell(row, "recompute");
}

Recompute recompute_in(const std::string& text) {
  if (has_word(text, "full")) return Recompute::kFull;
  if (has_word(text, "none")) return Recompute::kNone;
  return text.empty() || text == "0" ? Recompute::kAuto : Recompute::kSelective;
}

std::optional<Sharding> sharding_in(const std::string& text) {
  const std::string words = lower(text);
  const auto any = [&](std::initializer_list<const char*> list) {
    return std::any_of(list.begin(), list.end(), [&](const char* word) { return words.find(word) != std::string::npos; });
  };
  if (words == "no" || words == "false" || words == "none" || any({"no_shard", "zero-1", "zero1", "ddp"})) return Sharding::kOptimizer;
  if (any({"shard_grad_op", "zero-2", "zero2"})) return Sharding::kGradients;
  if (words == "yes" || words == "true" || any({"shard", "fsdp", "hsdp", "zero-3", "zero3"})) return Sharding::kWeights;
  return std::nullopt;
}

Layout layout_in_text(const std::string& text) {
  const std::string words = lower(text);
  Layout l;
  const auto set = [&](int64_t& degree, std::initializer_list<const char*> names) {
    for (const char* name : names)
      if (const int64_t found = degree_in(words, name)) degree = found;
  };
  set(l.tp, {"tp", "mp"}), set(l.pp, {"pp"}), set(l.ep, {"ep"}), set(l.cp, {"cp"}), set(l.vp, {"vp"}), set(l.micro_seqs, {"mbs"});
  for (const char* sharded : {"fsdp", "zero-3", "hsdp", "zero3"})
    if (has_word(words, sharded)) l.sharding = Sharding::kWeights;
  for (const char* hidden : {"dualpipe", "a2a overlap"})
    if (has_word(words, hidden)) l.hide_experts = true;
  if (has_word(words, "full recompu")) l.recompute = Recompute::kFull;
  return l;
}

std::optional<ModelShape> written_shape(const CsvTable& t, size_t row) {
  ModelShape s;
  s.name = t.cell(row, "model");
  s.layers = s.attention_layers = s.ffn_layers = t.integer(row, "n_layers");
  s.d_model = t.integer(row, "d_model"), s.heads = t.integer(row, "n_heads"), s.vocab = t.integer(row, "vocab", 50000);
  if (s.layers < 1 || s.d_model < 1 || s.heads < 1) return std::nullopt;
  s.head_dim = s.value_dim = s.d_model / s.heads;
  const std::string kv = lower(t.cell(row, "n_kv_heads_or_MLA"));
  if (kv.starts_with("mla")) {
    s.q_rank = degree_in(kv, "q"), s.kv_rank = degree_in(kv, "kv"), s.rope_dim = degree_in(kv, "rope");
    s.head_dim = degree_in(kv, "nope") + s.rope_dim, s.value_dim = degree_in(" " + kv.substr(kv.rfind(' ') + 1), "v");
    s.kv_heads = s.heads;
  } else {
    s.kv_heads = std::max<int64_t>(1, std::atoll(kv.c_str()));
  }
  s.experts = t.integer(row, "moe_routed"), s.top_k = t.integer(row, "moe_top_k"), s.shared_experts = t.integer(row, "moe_shared");
  s.d_expert = t.integer(row, "moe_d_ffn"), s.d_ffn = t.integer(row, "d_ffn_dense", s.d_expert);
  if (s.d_ffn < 1 || (s.experts > 0 && (s.d_expert < 1 || s.top_k < 1))) return std::nullopt;
  // What the columns leave out (gates, tying, dense first layers, head size) a known model of the same key says.
  if (const auto known = find_shape(t.cell(row, "arch_key"), s.name); known && known->layers == s.layers && known->d_model == s.d_model)
    return known;
  check_countable(s);
  // A plain FFN is 4 d wide or more with two matrices, a gated one 8/3 d with three; the parameter count decides.
  s.dense_layers = s.experts > 0 && s.d_ffn != s.d_expert ? 1 : 0;
  const double total = 1e9 * t.number(row, "params_total_B");
  if (total > 0) {
    double best = 1e300;
    ModelShape chosen = s;
    for (const bool gated : {true, false}) {
      for (const bool tied : {true, false}) {
        s.gated = gated, s.tied = tied;
        const double off = std::abs(std::log(double(count_parameters(s).total()) / total));
        if (off < best) best = off, chosen = s;
      }
    }
    s = chosen;
  }
  return s;
}

std::optional<std::pair<double, double>> sizes_in_name(const std::string& name) {
  const std::string text = lower(name);
  double total = 0, active = 0;
  for (size_t i = 1; i < text.size(); ++i) {
    if ((text[i] != 'b' && text[i] != 'm') || (i + 1 < text.size() && std::isalnum(static_cast<unsigned char>(text[i + 1])))) continue;
    const double unit = text[i] == 'b' ? 1e9 : 1e6, value = billions_before(text, i) * unit;
    if (value <= 0) continue;
    size_t from = i;
    while (from > 0 && (digit(text[from - 1]) || text[from - 1] == '.')) --from;
    if (from > 0 && text[from - 1] == 'a') {
      active = value;
    } else if (from > 1 && text[from - 1] == 'x' && digit(text[from - 2])) {
      total = billions_before(text, from - 1) * value, active = 2 * value;
    } else if (total == 0) {
      total = value;
    }
  }
  if (total <= 0 && active <= 0) return std::nullopt;
  return std::pair{total > 0 ? total : active, active > 0 ? active : total};
}

Accelerator row_accelerator(const CsvTable& t, size_t row) {
  std::string name = t.cell(row, "gpu_type");
  const std::string beside = t.cell(row, "system") + " " + t.cell(row, "gpu_model_note");
  if (name.empty()) name = t.cell(row, "gpu_model_note");
  FB_CHECK(!name.empty(), "no accelerator in the row");
  if (plain_name(name) == "h100" && (has_word(beside, "96gb") || has_word(beside, "500 w") || has_word(beside, "96 gb"))) name = "h100-96";
  if (plain_name(name) == "h100" && has_word(beside, "pcie")) name = "h100-pcie";
  if (plain_name(name) == "a100" && (has_word(beside, "40gb") || has_word(beside, "40 gb"))) name = "a100-40";
  return accelerator(name);
}

double software_date(const CsvTable& t, size_t row, double fallback) {
  const std::string version = t.cell(row, "version"), date = t.cell(row, "date"), framework = t.cell(row, "framework");
  const auto year_month = [](const std::string& text) -> double {
    if (text.size() >= 4 && text.substr(0, 2) == "20" && digit(text[2]) && digit(text[3])) {
      const bool month = text.size() >= 7 && (text[4] == '-' || text[4] == '.') && digit(text[5]);
      return std::atof(text.substr(0, 4).c_str()) + (month ? (std::atof(text.c_str() + 5) - 0.5) / 12 : 0.5);
    }
    if (text.size() >= 5 && digit(text[0]) && digit(text[1]) && text[2] == '.' && digit(text[3]) && digit(text[4]))
      return 2000 + std::atof(text.substr(0, 2).c_str()) + (std::atof(text.substr(3, 2).c_str()) - 0.5) / 12;
    return 0;
  };
  double found = year_month(version);
  // llm-foundry's tables carry no date: the A100 ones are of 2023's first half, the H100 ones of its second.
  if (found == 0 && has_word(framework, "foundry")) found = fallback < 2023 ? 2023.45 : 2023.95;
  if (found == 0 && year_month(date) > 0) found = year_month(date) - (t.has("tokens_T") ? 0.4 : 0);
  return std::clamp(found > 0 ? found : fallback, 2017.0, 2035.0);
}

std::vector<std::pair<double, int64_t>> sequence_mix(const std::string& text) {
  std::vector<std::pair<double, int64_t>> mix;
  for (size_t at = text.find('@'); at != std::string::npos; at = text.find('@', at + 1)) {
    size_t from = at;
    while (from > 0 && (digit(text[from - 1]) || text[from - 1] == '.')) --from;
    const double weight = std::atof(text.substr(from, at - from).c_str());
    const int64_t length = std::atoll(text.c_str() + at + 1);
    if (weight > 0 && length > 0) mix.push_back({weight, length});
  }
  return mix;
}

}  // namespace finback
