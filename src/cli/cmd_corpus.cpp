// finback corpus build: a recipe -> train.jsonl.zst, validation.jsonl.zst and manifest.json.
#include <fmt/format.h>

#include "base/fields.h"
#include "base/timer.h"
#include "cli/args.h"
#include "cli/verbs.h"
#include "data/corpus_build.h"

namespace finback {
namespace {

void print_table(const Json& manifest) {
  fmt::print("{:<14} {:>10} {:>10} {:>10} {:>10}  {}\n", "source", "train MB", "documents", "valid. MB", "documents", "version");
  const auto row = [](const std::string& name, const Json& counts, const std::string& version) {
    const Json &train = counts.at("train"), &validation = counts.at("validation");
    fmt::print("{:<14} {:>10.2f} {:>10} {:>10.2f} {:>10}  {}\n", name, train.at("bytes").get<double>() / 1e6,
               train.at("documents").get<int64_t>(), validation.at("bytes").get<double>() / 1e6, validation.at("documents").get<int64_t>(),
               version);
  };
  for (const Json& source : manifest.at("sources")) {
    const std::string name = source.at("name").get<std::string>();
    if (source.contains("left_out")) {
      fmt::print("{:<14} left out\n", name);
      continue;
    }
    const Json& input = source.at("inputs").at(0);
    row(name, source,
        input.contains("version") ? input.at("package").get<std::string>() + " " + input.at("version").get<std::string>() : "local");
  }
  row("total", manifest, "");
}

}  // namespace

int cmd_corpus(Words words) {
  CorpusRecipe fields;
  Args args(
      "corpus build RECIPE --out DIR [--cache DIR] [--refresh]",
      "Builds a text corpus from a TOML recipe: fetches Debian packages (apt-get download, nothing is installed) or reads local .txt, .md, "
      ".rst and .jsonl files (also .gz, .zst), extracts documents, drops exact duplicates, holds out whole documents for validation. "
      "Writes "
      "train.jsonl.zst, validation.jsonl.zst and manifest.json (versions and xxhash of every input).\n\nrecipe keys\n" +
          help_fields(fields),
      "finback corpus build configs/corpora/austen.toml --out data/austen");
  args.flag("out", "DIR", "folder of the corpus")
      .flag("cache", "DIR", "downloaded packages, used again by every corpus (default: .cache beside DIR)")
      .toggle("refresh", "fetch packages again, as apt offers them now")
      .toggle("json", "print the manifest as JSON");
  if (!args.parse(words)) return 0;
  if (args.required(0, "\"build\"") != "build")
    throw UsageError("expected \"build\", got \"" + args.positional()[0] + "\". Hint: finback corpus --help");
  args.at_most(2);
  const CorpusRecipe recipe = load_corpus_recipe(args.required(1, "a recipe"));
  if (!args.has("out")) throw UsageError("expected --out DIR. Hint: finback corpus --help");
  CorpusOptions options;
  options.out = *args.get("out");
  std::filesystem::path beside = std::filesystem::absolute(options.out).lexically_normal();
  if (!beside.has_filename()) beside = beside.parent_path();
  options.cache = args.get_or("cache", (beside.parent_path() / ".cache").string());
  options.refresh = args.has("refresh");

  const Timer timer;
  const Json manifest = build_corpus(recipe, options);
  if (args.has("json")) {
    fmt::print("{}", dump_json(manifest));
    return 0;
  }
  print_table(manifest);
  fmt::print("{}: corpus {} built in {}\n", options.out.string(), recipe.name, human_duration(timer.seconds()));
  return 0;
}

}  // namespace finback
