#include "plan/plan_spec.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/timer.h"
#include "base/toml.h"
#include "model/model_folder.h"
#include "plan/shape_table.h"

namespace finback {
namespace {

double year_of(const std::string& text) {
  int year = 0, month = 7;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, year);
  bool good = error == std::errc() && (stop == end || *stop == '-');
  if (good && stop != end) good = std::from_chars(stop + 1, end, month).ptr == end && month >= 1 && month <= 12;
  FB_CHECK(good && year >= 2016 && year <= 2040, "--software: expected a date such as 2025-06, got \"{}\"", text.substr(0, 20));
  return year + (month - 0.5) / 12;
}

void set_prices(PhaseRequest& r, const PlanSpec& spec) {
  const std::vector<Price> rows = prices_of(r.setup.gpu.name);
  if (spec.rate > 0) {
    r.price = {r.setup.gpu.name, spec.rate,     "rate of the plan", spec.rate_source.empty() ? "the user" : spec.rate_source,
               spec.rate_date,   spec.rate_kind};
    for (auto row = rows.rbegin(); row != rows.rend(); ++row)
      if (row->usd_per_hour != spec.rate) r.second_price = *row;
  } else {
    if (!rows.empty()) r.price = rows[0];
    if (rows.size() > 1) r.second_price = rows[1];
  }
}

int64_t rounded_to(int64_t seqs, int64_t unit) { return std::max(unit, (seqs + unit / 2) / unit * unit); }

int64_t sequences(double batch_tokens, int64_t seq_len) { return std::max<int64_t>(1, std::llround(batch_tokens / double(seq_len))); }

// A layout search needs a batch that many data-parallel sizes divide: a multiple of all accelerators, or of half or a quarter of them, close to what was
// asked for. A given batch moves by at most 3 % where that is possible, the default by a quarter.
int64_t searchable_batch(int64_t seqs, int64_t gpus, bool given) {
  const double most = given ? 0.03 : 0.25;
  int64_t unit = gpus;
  while (unit % 2 == 0 && std::abs(double(rounded_to(seqs, unit) - seqs)) > most * double(seqs)) unit /= 2;
  return rounded_to(seqs, unit);
}

}  // namespace

double parse_count(const std::string& text, const std::string& what) {
  double value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  double unit = 1;
  const std::string tail(stop, end);
  const bool known = tail.empty() || tail == "k" || tail == "K" || tail == "M" || tail == "B" || tail == "G" || tail == "T";
  if (known && !tail.empty()) unit = tail == "T" ? 1e12 : tail == "B" || tail == "G" ? 1e9 : tail == "M" ? 1e6 : 1e3;
  FB_CHECK(error == std::errc() && known && std::isfinite(value) && value > 0 && value * unit <= 1e18,
           "{}: expected a positive count such as 14.8T, 126B or 4e6, got \"{}\"", what, text.substr(0, 40));
  return value * unit;
}

PlanSpec load_plan_spec(const std::filesystem::path& path) {
  PlanSpec spec;
  load_fields(spec, read_toml(path), path.string());
  if (spec.name.empty()) spec.name = path.stem().string();
  return spec;
}

ModelShape load_shape(const std::string& model, bool* fp8_blocks) {
  std::error_code ignored;
  if (std::filesystem::exists(model, ignored)) {
    const ModelConfig config = load_model_config(find_model_or_config(model));
    if (fp8_blocks) *fp8_blocks = config.fp8_weights;
    ModelShape shape = shape_of(config);
    return shape;
  }
  FB_CHECK(model.find('/') == std::string::npos && !model.ends_with(".json"), "\"{}\": no such file", model.substr(0, 80));
  if (const auto known = find_named_shape(model)) return *known;
  std::vector<std::string> keys;
  for (const NamedShape& row : shape_table()) {
    keys.push_back(row.key);
    keys.insert(keys.end(), row.aliases.begin(), row.aliases.end());
  }
  const std::string near = nearest_word(plain_name(model), keys);
  FB_FAIL("\"{}\": no such file, and no such key in configs/cost/models.csv{}", model.substr(0, 80),
          near.empty() ? "" : ". Did you mean " + near + "?");
}

namespace {

void check_numbers(const PlanSpec& spec) {
  FB_CHECK(spec.gpus >= 1 && spec.gpus <= (int64_t{1} << 20), "--gpus: expected 1 to 2^20 accelerators, got {}", spec.gpus);
  FB_CHECK(spec.seq_len >= 1 && spec.seq_len <= (int64_t{1} << 24), "--seq-len: expected 1 to 2^24 tokens, got {}", spec.seq_len);
  FB_CHECK(std::isfinite(spec.tokens) && spec.tokens > 0, "--tokens: expected a positive count such as 14.8T, got {}", spec.tokens);
  FB_CHECK(spec.goodput > 0 && spec.goodput <= 1, "--goodput: expected a share above 0 and at most 1, got {}", spec.goodput);
  FB_CHECK(spec.rate >= 0 && spec.rate < 1e6, "--rate: expected dollars an hour, got {}", spec.rate);
}

double batch_tokens_of(const PlanSpec& spec) {
  return spec.batch_tokens > 0 ? spec.batch_tokens : std::max(4e6, 8192.0 * double(spec.gpus));
}

// Sequences of a step: a multiple of what a given layout needs, or one that a search can divide.
int64_t batch_of(const PlanSpec& spec, const PhaseRequest& phase, int64_t micro_seqs) {
  const int64_t seqs = sequences(batch_tokens_of(spec), phase.setup.seq_len);
  if (phase.layout_given) return rounded_to(seqs, phase.setup.layout.dp(spec.gpus) * micro_seqs);
  return searchable_batch(seqs, spec.gpus, spec.batch_tokens > 0);
}

PhaseRequest pretraining_of(const PlanSpec& spec) {
  PhaseRequest main;
  TrainSetup& s = main.setup;
  bool fp8_blocks = false;
  s.shape = load_shape(spec.model, &fp8_blocks);
  s.gpu = accelerator(spec.hardware);
  check_numbers(spec);
  s.gpus = spec.gpus, s.seq_len = spec.seq_len;
  s.precision = parse_matrix_precision(spec.precision);
  if (s.precision == MatrixPrecision::kFp8Tensor && fp8_blocks) s.precision = MatrixPrecision::kFp8Block;
  FB_CHECK(s.precision == MatrixPrecision::k16 || s.gpu.fp8_tflops > 0, "--precision {}: {} has no 8-bit products. Hint: --precision bf16",
           spec.precision, s.gpu.title);
  FB_CHECK(s.precision != MatrixPrecision::kFp4 || s.gpu.fp4_tflops > 0, "--precision {}: {} has no 4-bit products. Hint: --precision fp8",
           spec.precision, s.gpu.title);
  s.software_date = spec.software.empty() ? 2026.5 : year_of(spec.software);
  main.layout_given = !spec.layout.empty();
  if (main.layout_given) s.layout = parse_layout(spec.layout);
  const int64_t inner = s.layout.tp * s.layout.pp * s.layout.cp;
  FB_CHECK(s.gpus % inner == 0, "--layout {}: tp x pp x cp = {} does not divide {} accelerators", spec.layout, inner, s.gpus);
  s.batch_seqs = batch_of(spec, main, s.layout.micro_seqs);
  main.tokens = spec.tokens, main.goodput = spec.goodput;
  set_prices(main, spec);
  return main;
}

}  // namespace

std::vector<PhaseRequest> phases_of(const PlanSpec& spec) {
  const PhaseRequest main = pretraining_of(spec);
  std::vector<PhaseRequest> phases = {main};
  std::string text = spec.extend;
  while (!text.empty()) {
    const size_t end = std::min(text.find(','), text.size()), at = text.find('@');
    FB_CHECK(at != std::string::npos && at < end, "--extend: expected LENGTH@TOKENS, e.g. 32768@62.9B, got \"{}\"", text.substr(0, 40));
    PhaseRequest phase = main;
    TrainSetup& s = phase.setup;
    phase.phase = "context extension to " + text.substr(0, at);
    s.seq_len = int64_t(parse_count(text.substr(0, at), "--extend"));
    phase.tokens = parse_count(text.substr(at + 1, end - at - 1), "--extend");
    if (phase.layout_given) widen_context(s.layout, s.gpus, sequences(batch_tokens_of(spec), s.seq_len));
    s.batch_seqs = batch_of(spec, phase, 1);
    phases.push_back(phase);
    text.erase(0, end + 1);
  }
  return phases;
}

}  // namespace finback
