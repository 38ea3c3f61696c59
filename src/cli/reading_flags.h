// Flags of the verbs that read a user's text: how many bad records are borne.
#pragma once
#include "cli/args.h"
#include "data/read_report.h"

namespace finback {

void declare_reading_flags(Args& args);
// Throws UsageError for --max-bad beside --strict.
BadLimit bad_limit(const Args& args);

}  // namespace finback
