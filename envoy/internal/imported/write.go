package imported

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// write writes a policy of limits.
func write(name string, limits []limit) []byte {
	var out strings.Builder
	mesh := slices.ContainsFunc(limits, func(l limit) bool { return l.mesh })
	fmt.Fprintf(&out, "# From %s, by weir import ratelimit.\n", name)
	if mesh {
		out.WriteString("# A window of the rate limit service begins with each minute (second, hour, day), so around that moment twice the limit may pass.\n" +
			"# Here it slides: no interval of its length has more than the limit.\n")
	}
	named := slices.ContainsFunc(limits, func(l limit) bool { return l.cluster != "" })
	if named {
		out.WriteString("clusters:\n")
	}
	for _, l := range limits {
		if l.cluster != "" {
			fmt.Fprintf(&out, "  %s:", scalar(l.cluster))
			l.write(&out, "    ")
		}
	}
	for _, l := range limits {
		if l.cluster == "" {
			out.WriteString("default:")
			l.write(&out, "  ")
		}
	}
	if mesh {
		out.WriteString("redis: {}\n")
	}
	return []byte(out.String())
}

func (l *limit) write(out *strings.Builder, indent string) {
	if l.unlimited {
		fmt.Fprintf(out, " {} # line %d: unlimited\n", l.at.Line)
		return
	}
	fmt.Fprintf(out, " # line %d\n", l.at.Line)
	line := func(key, value string) { fmt.Fprintf(out, "%s%s: %s\n", indent, key, value) }
	if l.mode != "" {
		line("mode", l.mode)
	}
	fmt.Fprintf(out, "%srate_limit:\n", indent)
	indent += "  "
	if l.requests > 0 {
		line("requests", strconv.FormatInt(l.requests, 10))
		line("window_size", l.window)
	} else {
		line("algorithm", "token_bucket")
		line("burst_capacity", strconv.FormatInt(l.burst, 10))
		line("refill_rate", strconv.FormatFloat(l.refill, 'f', -1, 64))
	}
	if l.mesh {
		line("scope", "mesh")
	}
	if len(l.key) > 0 {
		line("key", "["+strings.Join(l.key, ", ")+"]")
	}
	if l.headers != "" {
		line("headers", l.headers)
	}
}

var plain = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]*$`)

// scalar quotes text which YAML would read as something else.
func scalar(s string) string {
	if plain.MatchString(s) && !slices.Contains([]string{"y", "n", "yes", "no", "on", "off", "true", "false", "null"}, strings.ToLower(s)) {
		return s
	}
	return strconv.Quote(s)
}
