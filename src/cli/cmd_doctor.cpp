// finback doctor: will a model folder work here?
#include "base/progress.h"
#include "base/timer.h"
#include "cli/args.h"
#include "cli/verbs.h"
#include "generate/doctor.h"

namespace finback {
namespace {

void print_diagnosis(const Diagnosis& d, const std::string& model) {
  for (const Finding& finding : d.findings) fmt::print("{}  {}\n", finding.fault ? "FAULT " : "remark", finding.what);
  if (!d.memory.empty()) {
    fmt::print("memory  {} with {} weights and {} tokens of context:", human_bytes(total_bytes(d.memory)), precision_name(d.weights),
               d.context);
    for (const MemoryPart& part : d.memory) {
      if (part.bytes > 0) fmt::print(" {} {},", part.name, human_bytes(part.bytes));
    }
    fmt::print(" a token {}; {} are free ({})\n", human_bytes(double(d.cache_bytes_per_token)), human_bytes(d.free.bytes), d.free.limit);
    fmt::print("speed   at most {:.3g} tokens/s behind {} tokens: {} read a token, at {:.1f} GB/s\n", d.tokens_per_s_at_most, d.context / 2,
               human_bytes(d.bytes_per_token), d.read_gb_per_s);
  }
  if (!d.works()) return fmt::print("It cannot work so.\n");
  fmt::print("It works: finback {} {}{}", d.chats ? "chat" : "generate", model, d.chats ? "" : " --ids 1,2,3");
  for (const std::string& flag : d.flags) fmt::print(" {}", flag);
  fmt::print("\n");
}

}  // namespace

int cmd_doctor(CommandLine words) {
  Args args(
      "doctor MODEL [--weights NAME] [--context N] [--json]",
      "Whether a model folder will work on this machine, before it is loaded: files that are missing, cut off or of another model, what\n"
      "memory it takes and what there is, how many tokens a second it can decode at most (bytes read a token over the measured read\n"
      "bandwidth: an upper bound), and the flags to use. Reads headers, no weights. Exit code 1 when it cannot work.",
      "finback doctor runs/quickstart/latest --context 2048");
  args.flag("weights", "f32|bf16|fp8|int8", "how the matrices would be kept (default: as the folder stores them, else the widest that fit)")
      .flag("context", "N", "tokens of context (default: 4096, or the model's limit when smaller)")
      .toggle("json", "one JSON document");
  if (!args.parse(words)) return 0;
  const std::string model = args.required(0, "a model folder");
  args.at_most(1);
  DoctorOptions options;
  if (args.has("weights")) options.weights = parse_precision(*args.get("weights"), "--weights");
  options.context = args.integer("context", 0, 1, int64_t{1} << 40);
  Progress progress("examining " + model);
  const Diagnosis diagnosis = diagnose(model, options);
  progress.vanish();
  if (args.has("json")) {
    fmt::print("{}", dump_json(diagnosis_json(diagnosis)));
  } else {
    print_diagnosis(diagnosis, model);
  }
  return diagnosis.works() ? 0 : 1;
}

}  // namespace finback
