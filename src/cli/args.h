// The arguments of one verb: positional ones, --flag=value, --flag value, --switch; behind "--" all are positional. Unknown flags are a
// UsageError that names the nearest one. A verb declares what it takes, then asks; --help prints what was declared and the example. The flags
// that every verb takes (cli/process_flags.h) stand in the same table: only it knows which arguments are values of other flags. Shell completion comes
// from it too.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cli/flag_help.h"

namespace finback {

// What a verb takes.
struct VerbFlags {
  std::vector<FlagHelp> flags;
  std::vector<std::string> override_keys;  // section.key
};

class Args {
 public:
  // usage: the line after "finback "; about: one paragraph; example: a command that works.
  Args(std::string usage, std::string about, std::string example);
  // Declarations. `name` without dashes. A value flag takes the next argument; a switch takes none. dotted: accept --section.key=value into overrides().
  // Given twice, both are a UsageError; only what is declared repeatable collects its values.
  Args& flag(const std::string& name, const std::string& value_name, const std::string& help);
  Args& repeatable(const std::string& name, const std::string& value_name, const std::string& help);
  Args& toggle(const std::string& name, const std::string& help);
  // keys: the dotted names that there are, for hints and completion.
  Args& accept_overrides(const std::string& help_text, std::vector<std::string> keys = {});
  // The flag declared last is for tests and developers.
  Args& developer();
  // The flag declared last has an effect only in these modes: first words ("train" of tokenizer train) or flags ("--quantize") of the verb.
  Args& only_of(std::vector<std::string> modes);
  // Parses, then does to the process what the flags of every verb ask. When --help or --help-all is among them it only prints the help on stdout
  // and returns false.
  [[nodiscard]] bool parse(std::span<const std::string> words);
  // How many arguments at the start are flags of this table and their values.
  size_t leading_flags(std::span<const std::string> words) const;

  const std::vector<std::string>& positional() const { return positional_; }
  // The positional argument at `index`, or a UsageError that names it.
  const std::string& required(size_t index, const std::string& what) const;
  // A UsageError when a flag was given that has no effect in this mode; it names those where it has one.
  void check_mode(const std::string& mode) const;
  // At most this many positional arguments, else a UsageError.
  void at_most(size_t count) const;
  // While `table` is set (null ends that), parse() of any Args writes what it takes there and returns false.
  static void collect_into(VerbFlags* table);

  bool has(const std::string& name) const;
  std::optional<std::string> get(const std::string& name) const;  // REQUIRES: not repeatable
  std::vector<std::string> all(const std::string& name) const;    // of a repeatable one
  std::string get_or(const std::string& name, const std::string& fallback) const;
  // Numbers are read whole and checked against [low, high]; "1e6" is an integer too.
  int64_t integer(const std::string& name, int64_t fallback, int64_t low, int64_t high) const;
  double number(const std::string& name, double fallback, double low, double high) const;
  const std::vector<std::pair<std::string, std::string>>& overrides() const { return overrides_; }

 private:
  using Declared = FlagHelp;
  const Declared* find(const std::string& name) const;
  size_t take_flag(std::span<const std::string> words);
  void check_once(const std::string& name, const Declared* declared) const;
  static void check_path(const std::string& value, const Declared* declared);
  std::string help(bool all) const;
  std::string verb() const;
  std::string usage_, about_, example_, override_help_;
  std::vector<std::string> override_keys_;
  bool accepts_overrides_ = false;
  std::vector<Declared> declared_;  // those of every verb first
  size_t of_every_verb_ = 0;
  std::vector<std::string> positional_;
  std::vector<std::pair<std::string, std::string>> given_, overrides_;
};

}  // namespace finback
