// finback tokenize: a corpus and a tokenizer -> token shards.
#include <fmt/format.h>

#include "base/output_place.h"
#include "base/timer.h"
#include "cli/args.h"
#include "cli/verbs.h"
#include "data/tokenize.h"
#include "model/model_folder.h"

namespace finback {
namespace {

Json json_of(const TokenWriter::Count& count) {
  return {{"documents", count.documents}, {"tokens", count.tokens}, {"text_bytes", count.bytes}};
}

void print_split(const char* name, const TokenWriter::Count& count) {
  const double ratio = count.tokens > 0 ? double(count.bytes) / double(count.tokens) : 0;
  fmt::print("{:<11} {:>12} tokens {:>10} documents {:>10.2f} MB of text  {:.3f} bytes per token\n", name, count.tokens, count.documents,
             double(count.bytes) / 1e6, ratio);
}

}  // namespace

int cmd_tokenize(CommandLine words) {
  Args args("tokenize CORPUS --tokenizer DIR --out DIR",
            "Turns a corpus (a folder of finback corpus build) into token shards for training: memory-mapped files with checksums, "
            "documents kept "
            "apart, the tokenizer's files beside them. The output is the same at any --threads.",
            "finback tokenize data/austen --tokenizer data/austen/tokenizer --out data/austen/tokens");
  args.flag("tokenizer", "DIR", "folder with tokenizer.json")
      .flag("out", "DIR", "folder of the shards")
      .toggle("json", "print the counts as JSON");
  if (!args.parse(words)) return 0;
  args.at_most(1);
  const std::string& corpus = args.required(0, "a corpus folder");
  if (!args.has("tokenizer") || !args.has("out")) throw UsageError("expected --tokenizer DIR and --out DIR. Hint: finback tokenize --help");

  check_folder_place(*args.get("out"));
  const Timer timer;
  const TokenizeReport report = tokenize_corpus(corpus, find_tokenizer(*args.get("tokenizer")), *args.get("out"));
  const double seconds = timer.seconds();
  if (args.has("json")) {
    fmt::print("{}", dump_json({{"train", json_of(report.train)},
                                {"validation", json_of(report.validation)},
                                {"fingerprint", report.fingerprint},
                                {"seconds", seconds}}));
    return 0;
  }
  print_split("train", report.train);
  print_split("validation", report.validation);
  fmt::print("{}: fingerprint {}, {:.1f} s\n", *args.get("out"), report.fingerprint, seconds);
  return 0;
}

}  // namespace finback
