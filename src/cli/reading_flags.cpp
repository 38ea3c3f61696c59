#include "cli/reading_flags.h"

#include "base/error.h"
#include "base/status_line.h"

namespace finback {

void declare_reading_flags(Args& args, const std::vector<std::string>& modes) {
  args.flag("max-bad", "N|P%", "records that may be repaired or left out before it is an error (default 1%, and 10 in any case)")
      .only_of(modes)
      .toggle("strict", "no such record and no repaired byte: the same as --max-bad 0")
      .only_of(modes);
}

BadLimit bad_limit(const Args& args) {
  if (args.has("max-bad") && args.has("strict")) throw UsageError("--strict is --max-bad 0: give one of the two");
  if (args.has("strict")) return parse_bad_limit("0");
  return args.has("max-bad") ? parse_bad_limit(*args.get("max-bad")) : BadLimit{};
}

void say_what_was_read(const ReadReport& report) {
  std::string table = report.table();
  while (table.ends_with('\n')) table.pop_back();
  if (!table.empty()) warn(table);
}

}  // namespace finback
