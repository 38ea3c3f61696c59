#include "train/run_curves.h"

#include <algorithm>
#include <fstream>
#include <numeric>
#include <utility>

#include "base/timer.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

// What a key is called in step lines and in evaluations.
struct KeyNames {
  const char *key, *step, *evaluation;
};
constexpr KeyNames kKeys[] = {{"bpb", "bpb", "val_bpb"},
                              {"loss", "main_loss", "val_loss"},
                              {"lr", "lr", ""},
                              {"norm", "grad_norm", ""},
                              {"tokens_per_s", "tokens_per_s", ""}};

const KeyNames& names_of(const std::string& key) {
  for (const KeyNames& names : kKeys) {
    if (key == names.key) return names;
  }
  FB_FAIL("--key: expected bpb, loss, lr, norm or tokens_per_s, got \"{}\"", key);
}

std::optional<double> number(const Json& line, const char* key) {
  const auto found = line.find(key);
  return found != line.end() && found->is_number() ? std::optional(found->get<double>()) : std::nullopt;
}

std::vector<double> numbers(const Json& object, const char* key) {
  std::vector<double> values;
  const auto found = object.find(key);
  if (found == object.end() || !found->is_array()) return values;
  for (const Json& value : *found) {
    if (value.is_number()) values.push_back(value.get<double>());
  }
  return values;
}

// Whether the line was understood.
bool add_step(RunCurves& run, const Json& line, const KeyNames& names) {
  const auto tokens = number(line, "tokens"), value = number(line, names.step), step = number(line, "step");
  if (!tokens || !step) return false;
  if (value) run.steps.push_back({*tokens, *value});
  run.last_step = int64_t(*step);
  run.tokens = *tokens;
  run.minutes = number(line, "elapsed_s").value_or(60 * run.minutes) / 60;
  const Json router = line.value("router", Json::object());
  const std::vector<double> vio = router.is_object() ? numbers(router, "max_vio") : std::vector<double>();
  if (vio.empty()) return true;
  run.worst_vio.push_back({*tokens, *std::max_element(vio.begin(), vio.end())});
  run.mean_vio.push_back({*tokens, std::accumulate(vio.begin(), vio.end(), 0.0) / double(vio.size())});
  return true;
}

bool add_evaluation(RunCurves& run, const Json& line, const KeyNames& names) {
  const auto tokens = number(line, "tokens"), step = number(line, "step"), bpb = number(line, "val_bpb");
  if (!tokens || !step || !bpb) return false;
  EvaluationRow row{.step = int64_t(*step), .tokens = *tokens, .bpb = *bpb, .minutes = number(line, "elapsed_s").value_or(0) / 60};
  row.mtp_acceptance = numbers(line, "val_mtp_acceptance");
  if (!run.worst_vio.empty() && run.last_step == row.step) row.worst_vio = run.worst_vio.back().value;
  if (!row.mtp_acceptance.empty()) run.mtp_acceptance.push_back({*tokens, row.mtp_acceptance[0]});
  if (const auto value = number(line, names.evaluation)) run.validation.push_back({*tokens, *value});
  run.evaluations.push_back(std::move(row));
  return true;
}

// What was probably meant: a run that has begun and writes nothing yet, or a folder of runs.
std::string where_runs_are(const fs::path& given) {
  std::error_code ignored;
  if (fs::exists(given / "config.toml", ignored) || fs::exists(given / "attempts.jsonl", ignored))
    return "no step yet: wait for the first one";
  std::vector<std::string> below;
  for (const auto& item : fs::directory_iterator(given, ignored)) {
    if (fs::exists(item.path() / "metrics.jsonl", ignored)) below.push_back(item.path().string());
  }
  return below.empty() ? "finback train writes runs/NAME" : fmt::format("did you mean {}?", *std::min_element(below.begin(), below.end()));
}

}  // namespace

RunCurves read_run_curves(const fs::path& run, const std::string& key) {
  const KeyNames& names = names_of(key);
  const fs::path file = fs::is_directory(run) ? run / "metrics.jsonl" : run;
  std::ifstream in(file);
  FB_CHECK(in.good() && fs::is_regular_file(file), "{}: expected a run folder with metrics.jsonl, got none. Hint: {}", run.string(),
           where_runs_are(run));
  RunCurves curves;
  fs::path folder = fs::absolute(fs::is_directory(run) ? run : run.parent_path() / run.stem()).lexically_normal();
  if (!folder.has_filename()) folder = folder.parent_path();
  curves.name = folder.filename().string();
  curves.key = key;
  for (std::string text; std::getline(in, text);) {
    const bool last = in.eof();  // no newline behind it: the run writes it now, or died there
    const Json line = Json::parse(text, nullptr, false);
    const std::string kind =
        line.is_object() && line.contains("kind") && line.at("kind").is_string() ? line.at("kind").get<std::string>() : "";
    bool understood = !kind.empty();
    if (kind == "step") understood = add_step(curves, line, names);
    if (kind == "eval") understood = add_evaluation(curves, line, names);
    if (!understood && !last && !text.empty()) ++curves.bad_lines;
  }
  FB_CHECK(!curves.steps.empty() || !curves.validation.empty(), "{}: no step yet: expected steps or evaluations with {}", run.string(),
           key);
  return curves;
}

Curve smoothed(const Curve& curve, size_t window) {
  Curve out;
  double sum = 0;
  for (size_t i = 0; i < curve.size(); ++i) {
    sum += curve[i].value;
    if (i >= window) sum -= curve[i - window].value;
    out.push_back({curve[i].tokens, sum / double(std::min(i + 1, window))});
  }
  return out;
}

Json curves_json(const std::vector<RunCurves>& runs) {
  const auto points = [](const Curve& curve) {
    Json list = Json::array();
    for (const CurvePoint& point : curve) list.push_back({point.tokens, point.value});
    return list;
  };
  Json list = Json::array();
  for (const RunCurves& run : runs) {
    list.push_back({{"name", run.name},
                    {"key", run.key},
                    {"step", run.last_step},
                    {"tokens", run.tokens},
                    {"minutes", run.minutes},
                    {"bad_lines", run.bad_lines},
                    {"steps", points(run.steps)},
                    {"validation", points(run.validation)},
                    {"mtp_acceptance", points(run.mtp_acceptance)}});
  }
  return {{"runs", list}};
}

std::string evaluations_table(const std::vector<RunCurves>& runs) {
  const bool several = runs.size() > 1;
  std::string text = several ? "| run " : "";
  text += "| step | tokens | validation bits a byte | MTP acceptance | worst MaxVio | minutes |\n";
  text += several ? "|---|---|---|---|---|---|---|\n" : "|---|---|---|---|---|---|\n";
  for (const RunCurves& run : runs) {
    for (const EvaluationRow& row : run.evaluations) {
      std::string acceptance;
      for (const double share : row.mtp_acceptance) acceptance += fmt::format("{}{:.1f} %", acceptance.empty() ? "" : ", ", 100 * share);
      text += several ? "| " + run.name + " " : "";
      text += fmt::format("| {} | {} | {:.4f} | {} | {} | {:.1f} |\n", row.step, human_count(row.tokens), row.bpb, acceptance,
                          row.worst_vio ? fmt::format("{:.2f}", *row.worst_vio) : "", row.minutes);
    }
  }
  return text;
}

}  // namespace finback
