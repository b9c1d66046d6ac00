package bridge

import (
	"fmt"
	"slices"
	"strings"
)

// DefaultCommands are always allowed: the filter sends them.
func DefaultCommands() []string { return []string{"EVAL", "EVALSHA", "PING"} }

// stateful are the commands that change their connection's state, block it, or read from it without an end. Callers
// share the connections, so none of these can be allowed.
var stateful = []string{
	"ASKING", "AUTH", "BLMOVE", "BLMPOP", "BLPOP", "BRPOP", "BRPOPLPUSH", "BZMPOP", "BZPOPMAX", "BZPOPMIN", "CLIENT", "DISCARD",
	"EXEC", "HELLO", "MONITOR", "MULTI", "PSUBSCRIBE", "PSYNC", "PUNSUBSCRIBE", "QUIT", "READONLY", "READWRITE", "REPLCONF",
	"RESET", "SELECT", "SSUBSCRIBE", "SUBSCRIBE", "SUNSUBSCRIBE", "SYNC", "UNSUBSCRIBE", "UNWATCH", "WAIT", "WAITAOF", "WATCH",
	"XREAD", "XREADGROUP",
}

// commandSet are the allowed commands: a name in capitals, with `|` before a subcommand, as Redis's ACLs write it.
// https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/#command-rules
type commandSet map[string]struct{}

// newCommandSet reads names such as "GET", "script load" and "SCRIPT|LOAD".
func newCommandSet(names []string) (commandSet, error) {
	set := commandSet{}
	for _, name := range names {
		words := strings.FieldsFunc(strings.ToUpper(name), func(r rune) bool { return r == ' ' || r == '|' })
		if len(words) == 0 || len(words) > 2 || strings.ContainsAny(name, "*@+\"'") {
			return nil, fmt.Errorf("%q is not a command: want a name such as GET or SCRIPT|LOAD", name)
		}
		if slices.Contains(stateful, words[0]) {
			return nil, fmt.Errorf("%s cannot be allowed: it needs a connection of its own, and callers share the bridge's connections", words[0])
		}
		set[strings.Join(words, "|")] = struct{}{}
	}
	return set, nil
}

// allows looks a command up by its name, or by its name and its first argument.
func (s commandSet) allows(arguments []any) bool {
	name, _ := arguments[0].(string)
	if _, ok := s[name]; ok { // usually in capitals already, which saves ToUpper
		return true
	}
	name = strings.ToUpper(name)
	if _, ok := s[name]; ok {
		return true
	}
	if len(arguments) < 2 {
		return false
	}
	sub, _ := arguments[1].(string)
	_, ok := s[name+"|"+strings.ToUpper(sub)]
	return ok
}

func (s commandSet) String() string {
	names := make([]string, 0, len(s))
	for name := range s {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
