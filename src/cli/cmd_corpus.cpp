// finback corpus build: a recipe, or files and folders -> train.jsonl.zst, validation.jsonl.zst and manifest.json.
#include <fmt/format.h>

#include <algorithm>

#include "base/fields.h"
#include "base/status_line.h"
#include "base/timer.h"
#include "cli/args.h"
#include "cli/reading_flags.h"
#include "cli/verbs.h"
#include "data/corpus_build.h"
#include "data/folder_walk.h"
#include "train/stop_signal.h"

namespace finback {
namespace {

struct StoppedBuild {};  // thrown in the middle of a build, so that what it holds is taken down

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

// The recipe that is named, or one made of files and folders.
CorpusRecipe recipe_of(const Args& args, const std::string& name) {
  args.required(1, "a recipe, or files and folders of text");
  const std::vector<std::string> places(args.positional().begin() + 1, args.positional().end());
  const auto is_recipe = [](const std::string& place) { return place.ends_with(".toml") && !std::filesystem::is_directory(place); };
  if (std::none_of(places.begin(), places.end(), is_recipe)) {
    for (const char* flag : {"cache", "refresh"}) {
      if (args.has(flag)) throw UsageError(fmt::format("--{} belongs to a recipe: files and folders are not fetched", flag));
    }
    return recipe_of_paths(places, name, args.number("validation-share", 0.05, 0, 0.99));
  }
  if (places.size() > 1)
    throw UsageError(
        fmt::format("expected one recipe, or files and folders, got both or several. Hint: a recipe's paths = [\"...\"] takes several"));
  if (args.has("validation-share"))
    throw UsageError("--validation-share is for files and folders. Hint: set validation_share in the recipe");
  return load_corpus_recipe(places[0]);
}

}  // namespace

int cmd_corpus(CommandLine words) {
  CorpusRecipe fields;
  Args args("corpus build RECIPE.toml | FILE_OR_FOLDER... --out DIR",
            "Builds a text corpus from files and folders of text, or from a TOML recipe, which can also fetch Debian packages (apt-get "
            "download, nothing "
            "is installed) and cut and clean documents. Reads .txt, .md, .rst, .org and other plain text (a file is a document) and .jsonl "
            "({\"text\": "
            "...} a line), also packed as .gz or .zst. Drops exact duplicates, holds out a share of the bytes for validation, and says "
            "what was left out "
            "or repaired. Writes train.jsonl.zst, validation.jsonl.zst and manifest.json (versions and xxhash of every input). More: "
            "docs/own-text.md.\n\nrecipe keys\n" +
                help_fields(fields),
            "finback corpus build notes/ more.jsonl.zst --out data/mine");
  args.flag("out", "DIR", "folder of the corpus")
      .flag("validation-share", "S", "of files and folders: the share of the bytes held out (default 0.05)")
      .flag("cache", "DIR", "of a recipe: downloaded packages, used again by every corpus (default: .cache beside DIR)")
      .toggle("refresh", "of a recipe: fetch packages again, as apt offers them now")
      .toggle("json", "print the manifest as JSON");
  declare_reading_flags(args);
  if (!args.parse(words)) return 0;
  if (args.required(0, "\"build\"") != "build")
    throw UsageError("expected \"build\", got \"" + args.positional()[0] + "\". Hint: finback corpus --help");
  if (!args.has("out")) throw UsageError("expected --out DIR. Hint: finback corpus --help");
  ReadReport report(bad_limit(args));
  CorpusOptions options;
  options.out = *args.get("out");
  std::filesystem::path beside = std::filesystem::absolute(options.out).lexically_normal();
  if (!beside.has_filename()) beside = beside.parent_path();
  const CorpusRecipe recipe = recipe_of(args, beside.filename().string());
  options.cache = args.get_or("cache", (beside.parent_path() / ".cache").string());
  options.refresh = args.has("refresh");

  report.show_as({std::filesystem::current_path().string() + "/", ""});
  const Timer timer;
  const StopSignal stop;
  stop.announce("what was begun is removed");
  options.check = [&] {
    if (stop.asked()) throw StoppedBuild();
  };
  Json manifest;
  try {
    manifest = build_corpus(recipe, options, report);
  } catch (const StoppedBuild&) {
    inform(fmt::format("{}: stopped; {}", options.out.string(),
                       is_corpus_folder(options.out) ? "the corpus that was there is as it was" : "no corpus was made"));
    return 128 + stop.number();
  }
  say_what_was_read(report);
  for (const char* older : {"tokenizer/tokenizer.json", "tokens/tokens.json"}) {
    if (std::filesystem::exists(options.out / older))
      warn(fmt::format("{}: made from the text before. Hint: tokenizer train and tokenize again", (options.out / older).string()));
  }
  if (args.has("json")) {
    fmt::print("{}", dump_json(manifest));
    return 0;
  }
  print_table(manifest);
  fmt::print("{}: corpus {} built in {}\n", options.out.string(), recipe.name, human_duration(timer.seconds()));
  return 0;
}

}  // namespace finback
