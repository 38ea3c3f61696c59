// Completion scripts for shells, made from the tables of verbs and flags that --help prints. Text in, text out.
#pragma once
#include <string>
#include <vector>

#include "cli/args.h"

namespace finback {

struct VerbHelp {
  std::string name, about, first_words;  // first_words: what may stand behind the verb, apart by blanks
  VerbFlags takes;                       // of the verb and of all its first words
};

// shell: bash, zsh or fish; throws UsageError for another.
std::string completion_script(const std::string& shell, const std::vector<VerbHelp>& verbs);

}  // namespace finback
