// What serving did cost: dollars a million input tokens, found in the cache and computed, and output tokens, from a serving process's counters
// (serve_usage.h). A token pays for the seconds that its own kind of work kept the devices busy; waiting for requests is shown beside it.
#pragma once
#include <string>

#include "base/json.h"
#include "cost/prices.h"
#include "cost/serve_usage.h"

namespace finback {

struct TokenPrices {
  double hit = 0, missed = 0, output = 0;  // dollars a million tokens; 0: no such token
};
struct ServeBill {
  Price price;
  double usd = 0, busy_share = 0;  // of everything; busy seconds / wall seconds
  TokenPrices busy, with_idle;     // of busy seconds alone; with the waiting shared out by busy time
  double usd_saved = 0;            // hits at the price of misses, less their own
};
// rate 0: the price table's.
ServeBill serve_bill(const ServeUsage& usage, double rate_usd_per_device_hour);
Json serve_bill_json(ServeUsage usage, const ServeBill& bill);
std::string serve_bill_table(const ServeUsage& usage, const ServeBill& bill);

}  // namespace finback
