#include "cli/completion.h"

#include <algorithm>

#include "base/error.h"

namespace finback {
namespace {

bool is_choice(const FlagHelp& flag) { return flag.value_name.find('|') != std::string::npos; }
std::string choices(const FlagHelp& flag) {
  std::string words = flag.value_name;
  std::replace(words.begin(), words.end(), '|', ' ');
  return words;
}
bool is_path(const FlagHelp& flag) {
  for (const char* word : {"FILE", "DIR", "FOLDER", "RUN"}) {
    if (flag.value_name.find(word) != std::string::npos) return !is_choice(flag) || flag.value_name.find("FILE|FOLDER") == 0;
  }
  return false;
}

std::vector<FlagHelp> shown(const VerbHelp& verb) {
  std::vector<FlagHelp> flags;
  for (const FlagHelp& flag : verb.takes.flags) {
    if (!flag.developer) flags.push_back(flag);
  }
  flags.push_back({"help", "", "what the verb takes, with an example"});
  flags.push_back({"help-all", "", "the same with the flags for tests and developers"});
  return flags;
}

std::string escaped(const std::string& text, const std::string& special) {
  std::string out;
  for (const char c : text) out += (special.find(c) == std::string::npos ? "" : "\\") + std::string(1, c);
  return out;
}

// Single quotes of a shell hold anything but themselves.
std::string shell_quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? "'\\''" : std::string(1, c);
  return out + "'";
}

std::string bash_script(const std::vector<VerbHelp>& verbs) {
  std::string names, values, words;
  for (const VerbHelp& verb : verbs) {
    names += verb.name + " ";
    std::string flags;
    for (const FlagHelp& flag : shown(verb)) {
      flags += "--" + flag.name + " ";
      if (is_path(flag)) {
        values += fmt::format("    {}:--{}) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n", verb.name, flag.name);
      } else if (is_choice(flag)) {
        values +=
            fmt::format("    {}:--{}) COMPREPLY=($(compgen -W \"{}\" -- \"$cur\")); return ;;\n", verb.name, flag.name, choices(flag));
      } else if (!flag.value_name.empty()) {
        values += fmt::format("    {}:--{}) return ;;\n", verb.name, flag.name);
      }
    }
    for (const std::string& key : verb.takes.override_keys) flags += "--" + key + "= ";
    words += fmt::format("    {}) flags=\"{}\" first=\"{}\" ;;\n", verb.name, flags, verb.first_words);
  }
  return fmt::format(R"SCRIPT(# bash completion of finback; made by: finback completion bash
# Use: source <(finback completion bash), or save it as ~/.local/share/bash-completion/completions/finback
_finback() {{
  local cur=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} verb=${{COMP_WORDS[1]}} flags= first=
  COMPREPLY=()
  if [ "$cur" = "=" ]; then cur=
  elif [ "$before" = "=" ]; then before=${{COMP_WORDS[COMP_CWORD-2]}}; fi
  if [ "$COMP_CWORD" = 1 ]; then COMPREPLY=($(compgen -W "{}--help --version" -- "$cur")); return; fi
  case "$verb:$before" in
{}  esac
  case "$verb" in
{}  esac
  case "$cur" in
    -*) COMPREPLY=($(compgen -W "$flags" -- "$cur"))
        case "${{COMPREPLY[*]}}" in *=) compopt -o nospace 2>/dev/null ;; esac
        return ;;
  esac
  if [ "$COMP_CWORD" = 2 ] && [ -n "$first" ]; then COMPREPLY=($(compgen -W "$first" -- "$cur")); fi
  [ "${{#COMPREPLY[@]}}" -gt 0 ] || COMPREPLY=($(compgen -f -- "$cur"))
}}
complete -o filenames -F _finback finback
)SCRIPT",
                     names, values, words);
}

std::string zsh_script(const std::vector<VerbHelp>& verbs) {
  std::string described, cases;
  for (const VerbHelp& verb : verbs) {
    described += "    " + shell_quoted(verb.name + ":" + escaped(verb.about, ":\\")) + "\n";
    cases += fmt::format("    {}) specs=(\n", verb.name);
    for (const FlagHelp& flag : shown(verb)) {
      std::string spec = "--" + flag.name + (flag.value_name.empty() ? "" : "=") + "[" + escaped(flag.help, "[]:\\") + "]";
      if (!flag.value_name.empty()) {
        spec += ":" + escaped(flag.value_name, ":[]\\") + ":" +
                (is_path(flag)     ? "_files"
                 : is_choice(flag) ? "(" + choices(flag) + ")"
                                   : " ");
      }
      cases += "      " + shell_quoted(spec) + "\n";
    }
    for (const std::string& key : verb.takes.override_keys) cases += "      " + shell_quoted("--" + key + "=-:value: ") + "\n";
    if (!verb.first_words.empty()) cases += "      " + shell_quoted("1: :(" + verb.first_words + ")") + "\n";
    cases += "      '*:file:_files') ;;\n";
  }
  return fmt::format(R"SCRIPT(#compdef finback
# zsh completion of finback; made by: finback completion zsh
# Use: save it as _finback in a folder of $fpath, or: source <(finback completion zsh)
_finback() {{
  local -a verbs specs
  verbs=(
{}  )
  if (( CURRENT == 2 )); then
    _describe verb verbs
    return
  fi
  case $words[2] in
{}    *) _files; return ;;
  esac
  shift words
  (( CURRENT-- ))
  _arguments -S $specs
}}
if [ "$funcstack[1]" = _finback ]; then _finback "$@"; else compdef _finback finback; fi
)SCRIPT",
                     described, cases);
}

std::string fish_script(const std::vector<VerbHelp>& verbs) {
  // In fish a backslash is special within single quotes, too.
  const auto text = [](const std::string& words) { return "'" + escaped(words, "'\\") + "'"; };
  std::string script =
      "# fish completion of finback; made by: finback completion fish\n# Use: finback completion fish | source, or save it as "
      "~/.config/fish/completions/finback.fish\n";
  script += "complete -c finback -n __fish_use_subcommand -l version -d 'version, commit, torch, kernel variant'\n";
  for (const VerbHelp& verb : verbs) {
    const std::string behind = "complete -c finback -n '__fish_seen_subcommand_from " + verb.name + "'";
    script += fmt::format("complete -c finback -n __fish_use_subcommand -x -a {} -d {}\n", verb.name, text(verb.about));
    if (!verb.first_words.empty()) script += behind + " -a " + text(verb.first_words) + "\n";
    for (const FlagHelp& flag : shown(verb)) {
      const char* value = flag.value_name.empty() ? "" : is_path(flag) ? " -r -F" : " -x";
      script += fmt::format("{} -l {}{}{} -d {}\n", behind, flag.name, value,
                            is_choice(flag) && !is_path(flag) ? " -a " + text(choices(flag)) : "", text(flag.help));
    }
    for (const std::string& key : verb.takes.override_keys) script += fmt::format("{} -l {} -x\n", behind, key);
  }
  return script;
}

}  // namespace

std::string completion_script(const std::string& shell, const std::vector<VerbHelp>& verbs) {
  if (shell == "bash") return bash_script(verbs);
  if (shell == "zsh") return zsh_script(verbs);
  if (shell == "fish") return fish_script(verbs);
  throw UsageError(fmt::format("expected bash, zsh or fish, got \"{}\"", shell));
}

}  // namespace finback
