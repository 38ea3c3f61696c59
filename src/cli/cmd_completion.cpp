// finback completion: a shell's completion script on stdout.
#include <sstream>

#include "cli/args.h"
#include "cli/completion.h"
#include "cli/verbs.h"

namespace finback {
namespace {

// What the verb declares, and what it declares behind each of its first words. The verb stops where it would begin to parse.
VerbFlags flags_of(const Verb& verb) {
  VerbFlags all;
  Args::collect_into(&all);
  verb.run({});
  std::istringstream words(verb.first_words);
  for (std::string word; words >> word;) {
    VerbFlags more;
    Args::collect_into(&more);
    const std::vector<std::string> line = {word};
    verb.run(line);
    for (FlagHelp& flag : more.flags) {
      bool known = false;
      for (const FlagHelp& before : all.flags) known |= before.name == flag.name;
      if (!known) all.flags.push_back(std::move(flag));
    }
  }
  Args::collect_into(nullptr);
  return all;
}

}  // namespace

int cmd_completion(CommandLine words) {
  Args args("completion bash|zsh|fish",
            "Prints a completion script for a shell: verbs, flags, their values and recipe keys, from the tables that --help prints.\nFor "
            "one session: "
            "source <(finback completion bash), source <(finback completion zsh) or finback completion fish | source.",
            "finback completion bash > finback.bash");
  if (!args.parse(words)) return 0;
  args.at_most(1);
  const std::string shell = args.required(0, "bash, zsh or fish");
  std::vector<VerbHelp> verbs;
  for (const Verb& verb : verb_table()) verbs.push_back({verb.name, verb.about, verb.first_words, flags_of(verb)});
  fmt::print("{}", completion_script(shell, verbs));
  return 0;
}

}  // namespace finback
