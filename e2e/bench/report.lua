-- wrk calls this at the end; times are in microseconds.
done = function(summary, latency, requests)
  io.write(string.format('report {"p50": %d, "p99": %d, "duration": %d, "failed": %d}\n',
    latency:percentile(50), latency:percentile(99), summary.duration,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.status + summary.errors.timeout))
end
