// How the user started this program, so that a command in a hint can be copied as it stands: "build/finback train ...", not "finback train ...".
// Messages are written with the plain name; what prints them asks here. Set once, before any thread.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace finback {

// typed: argv[0]; verbs: the words that make a command of the program's name.
void set_program(std::string typed, std::vector<std::string> verbs);
// The text with every command of this program ("finback VERB", "finback --flag") under the name that was typed. Before set_program: as it is.
std::string as_typed(std::string_view text);
// A word of a command as a shell takes it: quoted when it has blanks or signs in it.
std::string shell_word(const std::string& word);

}  // namespace finback
