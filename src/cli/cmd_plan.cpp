// finback plan: what a run will cost, before it runs.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <sstream>
#include <utility>

#include "base/file.h"
#include "base/progress.h"
#include "base/timer.h"
#include "cli/args.h"
#include "cli/output_file.h"
#include "cli/plan_here.h"
#include "cli/verbs.h"
#include "plan/cache_savings.h"
#include "plan/campaign_report.h"
#include "plan/plan_comparison.h"
#include "plan/plan_rows.h"
#include "train/recipe_help.h"

namespace finback {
namespace {

int print_report(const Args& args, const Json& json, const std::string& text) {
  fmt::print("{}", args.has("json") ? dump_json(json) : text);
  return 0;
}

int plan_rows(const Args& args) {
  const std::string path = *args.get("rows");
  if (args.has("out")) check_output(*args.get("out"), {path});
  const CsvTable table = CsvTable::parse(read_file(path), path);
  std::string text;
  Progress progress("predicting the rows of " + path);
  if (args.has("parameters")) {
    const Json list = read_json(*args.get("parameters"));
    FB_CHECK(list.is_array() && !list.empty(), "--parameters: expected a list of parameter sets");
    std::vector<CostParameters> sets;
    for (const Json& json : list) load_fields(sets.emplace_back(fitted_parameters()), json, "--parameters");
    text = predict_rows_under(table, sets);
  } else {
    text = predict_rows(table, fitted_parameters());
  }
  progress.vanish();
  if (args.has("out")) {
    write_file_atomic(*args.get("out"), text);
  } else {
    fmt::print("{}", text);
  }
  return 0;
}

PlanSpec spec_of(const Args& args, const std::string& word) {
  PlanSpec spec;
  if (word.ends_with(".toml")) {
    spec = load_plan_spec(word);
  } else {
    spec.model = word, spec.name = word;
  }
  const auto text = [&](const char* flag, std::string& out) { out = args.get_or(flag, out); };
  text("hardware", spec.hardware), text("precision", spec.precision), text("layout", spec.layout), text("software", spec.software);
  text("extend", spec.extend);
  // A layout is made for its machine: for another number or kind of accelerators one is searched.
  if ((args.has("gpus") || args.has("hardware")) && !args.has("layout")) spec.layout.clear();
  if (args.has("hardware") && !args.has("rate")) spec.rate = 0;
  spec.gpus = args.integer("gpus", spec.gpus, 1, int64_t{1} << 20);
  spec.seq_len = args.integer("seq-len", spec.seq_len, 1, int64_t{1} << 24);
  if (args.has("tokens")) spec.tokens = parse_count(*args.get("tokens"), "--tokens");
  if (args.has("batch-tokens")) spec.batch_tokens = parse_count(*args.get("batch-tokens"), "--batch-tokens");
  spec.goodput = args.number("goodput", spec.goodput, 0.01, 1);
  if (args.has("rate"))
    spec.rate = args.number("rate", 0, 0, 1e6), spec.rate_kind = "given", spec.rate_source = "the user", spec.rate_date.clear();
  // Serving needs the number of accelerators that serve together, not that of a run.
  if (spec.gpus < 1 && (args.has("serve") || args.has("trace"))) spec.gpus = args.integer("group", 64, 1, 1 << 16);
  FB_CHECK(spec.gpus >= 1, "expected --gpus N");
  return spec;
}

ServeRequest serve_request(const Args& args, const PhaseRequest& phase) {
  ServeRequest r;
  r.setup = phase.setup;
  r.setup.gpus = args.integer("group", std::min<int64_t>(phase.setup.gpus, phase.setup.shape.is_moe() ? 64 : 8), 1, 1 << 16);
  r.weight_bytes = phase.setup.precision == MatrixPrecision::k16 ? 2 : 1;
  r.context = double(args.integer("context", 4096, 1, int64_t{1} << 24));
  r.output = double(args.integer("output", 1024, 1, int64_t{1} << 24));
  r.hit = args.number("hit", 0, 0, 1);
  r.price = phase.price;
  return r;
}

int plan_training(const Args& args) {
  const PlanSpec spec = spec_of(args, args.required(0, "a model, a plan or a recipe"));
  FB_CHECK(spec.tokens > 0, "expected --tokens N, e.g. --tokens 14.8T");
  std::vector<PhaseRequest> requests = phases_of(spec);
  // After pretraining: supervised fine-tuning costs what training costs; reinforcement learning is mostly sampling.
  if (args.has("sft")) {
    PhaseRequest sft = requests[0];
    sft.phase = "supervised fine-tuning";
    sft.tokens = parse_count(*args.get("sft"), "--sft");
    requests.push_back(sft);
  }
  std::vector<PhasePlan> phases;
  Progress progress("searching layouts", double(requests.size()), "phases");
  for (const PhaseRequest& request : requests) {
    phases.push_back(plan_phase(request, fitted_parameters()));
    progress.update(double(phases.size()));
  }
  progress.vanish();
  CampaignPlan campaign = sum_phases(std::move(phases));
  if (args.has("rl")) {
    RlRequest rl;
    rl.serving = serve_request(args, requests[0]);
    rl.sampled_tokens = parse_count(*args.get("rl"), "--rl");
    rl.train_tokens_per_s = campaign.phases[0].chosen.tokens_per_s;
    add_rl(campaign, plan_rl(rl, fitted_parameters()));
  }
  return print_report(args, campaign_json(campaign), campaign_text(campaign));
}

std::vector<double> cache_sizes(const Args& args) {
  std::vector<double> sizes;
  std::stringstream words(args.get_or("cache-gb", ""));
  for (std::string word; std::getline(words, word, ',');) {
    char* end = nullptr;
    sizes.push_back(std::strtod(word.c_str(), &end));
    FB_CHECK(!word.empty() && *end == 0 && sizes.back() > 0 && sizes.back() < 1e12,
             "--cache-gb: expected sizes such as 10,100,1000, got \"{}\"", word.substr(0, 40));
  }
  return sizes;
}

int plan_serve(const Args& args) {
  PlanSpec spec = spec_of(args, args.required(0, "a model or a plan"));
  if (spec.tokens <= 0) spec.tokens = 1;
  ServeRequest request = serve_request(args, phases_of(spec)[0]);
  if (!args.has("trace")) {
    const ServePlan plan = plan_serving(request, fitted_parameters());
    return print_report(args, serve_json(request, plan), serve_text(request, plan));
  }
  FB_CHECK(!args.has("hit"), "--hit and --trace: expected one of them, the trace says what is found");
  const CacheTrace trace = parse_cache_trace(read_file(*args.get("trace")), *args.get("trace"));
  const double requests = double(trace.requests.size());
  if (!args.has("context")) request.context = std::ceil(double(trace.prompt_tokens) / requests);
  if (!args.has("output")) request.output = std::max(1.0, std::ceil(double(trace.output_tokens) / requests));
  const ServePlan plan = plan_serving(request, fitted_parameters());
  const std::vector<CacheSize> sizes = price_cache_sizes(trace, plan, cache_sizes(args));
  Json json = serve_json(request, plan);
  json["trace"] = savings_json(trace, sizes);
  return print_report(args, json, serve_text(request, plan) + savings_text(trace, sizes));
}

int plan_compare(const Args& args) {
  FB_CHECK(args.positional().size() == 2, "--compare: expected two plans (TOML), got {}", args.positional().size());
  const PlanComparison comparison =
      compare_specs(load_plan_spec(args.positional()[0]), load_plan_spec(args.positional()[1]), fitted_parameters());
  return print_report(args, comparison_json(comparison), comparison_text(comparison));
}

// A flag that would have no effect is an error.
constexpr const char* kFlags[] = {"hardware", "gpus",    "tokens",     "seq-len", "batch-tokens", "precision", "layout",
                                  "software", "goodput", "rate",       "extend",  "sft",          "rl",        "serve",
                                  "group",    "context", "output",     "hit",     "trace",        "cache-gb",  "compare",
                                  "rows",     "out",     "parameters", "json"};
void only(const Args& args, const char* mode, std::initializer_list<std::string_view> allowed) {
  for (const char* flag : kFlags) {
    if (args.has(flag) && std::find(allowed.begin(), allowed.end(), flag) == allowed.end())
      throw UsageError(fmt::format("--{} has no effect with {}", flag, mode));
  }
}
void without(const Args& args, const char* mode, std::initializer_list<const char*> flags) {
  for (const char* flag : flags)
    if (args.has(flag)) throw UsageError(fmt::format("--{} goes with {}", flag, mode));
}

Args plan_args() {
  Args args("plan MODEL|PLAN.toml [--hardware NAME --gpus N --tokens T ...] [--compare A B] [--rows FILE.csv]",
            "What training will cost: FLOPs, step time by part, tokens/s, memory by pipeline stage, hours, energy, dollars, each "
            "with an "
            "interval meant to hold 80 %.\nMODEL is a config.json, its folder, or a key of configs/cost/models.csv. Without --layout one "
            "is searched. The "
            "model behind it:\n"
            "docs/cost-model.md.",
            "finback plan configs/models/v3/config.json --hardware h800 --gpus 2048 --tokens 14.8T --precision fp8");
  args.flag("hardware", "NAME",
            "accelerator of configs/hardware (default h800), or `this`: a recipe on this machine, rehearsed for a few seconds")
      .flag("gpus", "N", "accelerators")
      .flag("tokens", "T", "trained tokens, e.g. 14.8T")
      .flag("seq-len", "S", "tokens of a sequence (default 4096)")
      .flag("batch-tokens", "B", "tokens per step (default 4M or 8192 per accelerator)")
      .flag("precision", "NAME", "bf16, fp8, fp8-block, mxfp8, nvfp4")
      .flag("layout", "WORDS", "e.g. tp2,pp8,vp4,ep64,mbs1,fsdp,full; dualpipe hides the expert exchange")
      .flag("software", "YYYY-MM", "date of the software (default 2026-07)")
      .flag("goodput", "SHARE", "ideal hours / charged hours (default 0.89)")
      .flag("rate", "USD", "dollars an accelerator-hour (default: configs/prices.toml)")
      .flag("extend", "LEN@TOKENS,...", "context extension after pretraining")
      .flag("sft", "TOKENS", "supervised fine-tuning after it")
      .flag("rl", "TOKENS", "reinforcement learning after it: tokens that are sampled")
      .toggle("serve", "serving instead: prefill, decoding, dollars a million tokens")
      .flag("group", "N", "accelerators that serve together (default 64 for MoE, else 8)")
      .flag("context", "N", "serving and RL: prompt tokens (default 4096)")
      .flag("output", "N", "serving and RL: answer tokens (default 1024)")
      .flag("hit", "SHARE", "serving: share of prompt tokens found in the cache")
      .flag("trace", "FILE.jsonl",
            "serving: replay a trace of prompts through a prefix cache (docs/cost-model.md): hit rate and dollars by cache size")
      .flag("cache-gb", "GB,...", "with --trace: sizes of the cache (default: what would hold every block, halved seven times)")
      .toggle("compare", "two plans: B against A, factor by factor")
      .flag("rows", "FILE.csv", "predict every row of a table of published runs; columns with measured results are not read")
      .flag("out", "FILE.csv", "where --rows writes (default: stdout)")
      .flag("parameters", "FILE.json", "with --rows: a list of parameter sets, for tools/fit_cost")
      .developer()
      .toggle("json", "one JSON document")
      .accept_overrides("with --hardware this, recipe keys as of finback train: --section.key=value\n", recipe_keys());
  return args;
}

}  // namespace

int cmd_plan(CommandLine words) {
  Args args = plan_args();
  if (!args.parse(words)) return 0;
  if (args.has("rows")) {
    args.at_most(0);
    only(args, "--rows", {"rows", "out", "parameters"});
    return plan_rows(args);
  }
  if (args.has("compare")) {
    only(args, "--compare", {"compare", "json"});
    return plan_compare(args);
  }
  args.at_most(1);
  if (args.get_or("hardware", "") == "this") only(args, "--hardware this", {"hardware", "rate", "json"});
  without(args, "--rows", {"out", "parameters"});
  if (!args.has("serve") && !args.has("trace")) without(args, "--serve", {"hit"});
  if (args.has("serve") || args.has("trace")) {
    for (const char* flag : {"layout", "extend", "sft", "rl", "tokens", "batch-tokens", "seq-len", "goodput"})
      if (args.has(flag)) throw UsageError(fmt::format("--{} belongs to training, not to --serve", flag));
  } else if (!args.has("rl")) {
    without(args, "--serve or --rl", {"group", "context", "output"});
  }
  if (!args.has("trace")) without(args, "--trace", {"cache-gb"});
  if (args.has("gpus") && args.has("group") && !args.has("rl")) throw UsageError("--gpus has no effect on serving with --group");
  if (args.get_or("hardware", "") != "this" && !args.overrides().empty()) throw UsageError("recipe keys go with --hardware this only");
  if (args.get_or("hardware", "") == "this") {
    Progress progress("rehearsing on this machine");
    const PlanHere here = plan_here(args.required(0, "a recipe"), args.overrides(), args.number("rate", 0, 0, 1e6));
    progress.vanish();
    return print_report(args, here.json, here.text);
  }
  return args.has("serve") || args.has("trace") ? plan_serve(args) : plan_training(args);
}

}  // namespace finback
