// The price table (configs/prices.toml, compiled in): dollars a device-hour with what, source and date. No network, no other defaults.
#pragma once
#include <string>
#include <vector>

namespace finback {

struct Price {
  std::string device;       // "cpu" (one vCPU), "h100", ...
  double usd_per_hour = 0;  // of one device
  std::string what, source, date;
  std::string kind = "on demand";  // on demand | contract 1 year | range | assumed by a run | given
};
template <class V>
void visit_fields(Price& p, V& v) {
  v("device", p.device, "cpu (one vCPU) or an accelerator's name in lower case");
  v("usd_per_hour", p.usd_per_hour, "USD for one device for one hour");
  v("what", p.what, "what is bought at this price");
  v("source", p.source, "who asks it");
  v("date", p.date, "when it was seen");
  v("kind", p.kind, "on demand, contract 1 year, range, assumed by a run, given");
}

const std::vector<Price>& price_table();
// The first row of `device`; throws Error that lists the known devices.
Price price_of(const std::string& device);
// A rate that the user gave, as a row of the table.
Price given_price(const std::string& device, double usd_per_hour, const std::string& date);
// All rows of `device`, in the table's order; may be empty.
std::vector<Price> prices_of(const std::string& device);

}  // namespace finback
