// Flags of the verbs that read a user's text: how many bad records are borne.
#pragma once
#include "cli/args.h"
#include "data/read_report.h"

namespace finback {

// modes: of a verb that does several things, those that read text.
void declare_reading_flags(Args& args, const std::vector<std::string>& modes = {});
// Throws UsageError for --max-bad beside --strict.
BadLimit bad_limit(const Args& args);
// The table of a report, on stderr.
void say_what_was_read(const ReadReport& report);

}  // namespace finback
