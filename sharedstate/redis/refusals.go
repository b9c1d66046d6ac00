package redis

import "strings"

// Scope is what an error concerns: which further calls would end alike.
type Scope uint8

// The scopes.
const (
	OfRedis  Scope = iota // all calls to this Redis
	OfLimit               // the calls for one cluster's limit, whose keys are in one slot of a Redis Cluster
	OfRecord              // the calls for one record: what its keys hold is not Weir's
)

// A refusal is an error with which Redis, or what stands before it, refuses a command.
type refusal struct {
	word   string // in the error's text, as a word of its own
	and    string // also in the text, "" for nothing more
	scope  Scope
	advice string
}

const (
	wrongContent = "a key of the limit of CLUSTER holds what Weir did not write: reset CLUSTER to delete it"
	oneNode      = "the bridge talks to one node of a Redis Cluster as if it were alone: give it the whole cluster (weir bridge --redis redis+cluster://…; Webdis has no such mode)"
	login        = "the bridge's login at Redis is missing or wrong: put user and password into the bridge's configuration (weir bridge --redis redis://USER:PASSWORD@…, Webdis: redis_auth)"
)

// refusals are read from the top: an error inside a script names the script as well, and before Redis 7 begins with ERR.
var refusals = [...]refusal{
	{"WRONGTYPE", "", OfRecord, wrongContent},
	{"MOVED", "", OfLimit, oneNode},
	{"ASK", "", OfLimit, oneNode},
	{"TRYAGAIN", "", OfLimit, "the Redis Cluster is moving this limit's slot to another node; this ends by itself"},
	{"CLUSTERDOWN", "slot", OfLimit, "no node of the Redis Cluster serves this limit's slot: see `redis-cli --cluster check`, and assign the slot or bring its node back"},
	{"CLUSTERDOWN", "", OfRedis, "the Redis Cluster has lost nodes and refuses all: see `redis-cli --cluster check`, and bring them back"},
	{"CROSSSLOT", "", OfLimit, "what stands before Redis renames keys, so that those of one limit are in several slots: let it leave the hash tag {CLUSTER} in their names"},
	{"READONLY", "", OfRedis, "this is a replica: let the bridge talk to the primary (weir bridge --redis redis+sentinel://… follows it)"},
	{"OOM", "", OfRedis, "Redis has reached maxmemory: raise it, or free memory"},
	{"MISCONF", "", OfRedis, "Redis can't save to disk and refuses writes: free disk space and see its log, or set stop-writes-on-bgsave-error to no"},
	{"LOADING", "", OfRedis, "Redis is loading its data after a start; this ends by itself"},
	{"BUSY", "", OfRedis, "a script has kept Redis busy for too long: find whose it is, and end it by SCRIPT KILL"},
	{"NOREPLICAS", "", OfRedis, "Redis has too few replicas for min-replicas-to-write: bring them back, or lower it"},
	{"MASTERDOWN", "", OfRedis, "this is a replica without its primary: let the bridge talk to the primary"},
	{"NOAUTH", "", OfRedis, login},
	{"WRONGPASS", "", OfRedis, login},
	{"NOPERM", "", OfRedis, "the bridge's user of Redis lacks permissions: it needs +eval +evalsha, the commands of the scripts, and the keys of redis.key_prefix"},
	{"ACL", "", OfRedis, "the bridge's user of Redis lacks permissions: it needs +eval +evalsha, the commands of the scripts, and the keys of redis.key_prefix"},
	{"DENIED", "", OfRedis, "Redis is in protected mode and takes no connections of other machines: give it a password, or bind it to an address"},
	{"ERR", "max number of clients", OfRedis, "Redis has no connection left: raise maxclients, or find who holds so many"},
	{"ERR", "unknown command", OfRedis, "what answers as Redis knows no scripts: Weir needs EVAL and EVALSHA, as in Redis 4 or later"},
	{"ERR", "Unknown Redis command", OfRedis, "what answers as Redis lacks a command that Weir's scripts call: take Redis 4 or later"},
	{"ERR", "limit exceeded", OfRedis, "the plan of the hosted Redis allows no more requests: take a larger one"},
	{"ERR", "script", OfRecord, wrongContent}, // an error of Lua, which could not calculate with what the keys hold
}

// refusalIn finds the refusal that an error's text names, nil for one that is not known.
func refusalIn(text string) *refusal {
	for i := range refusals {
		if r := &refusals[i]; hasWord(text, r.word) && strings.Contains(text, r.and) {
			return r
		}
	}
	return nil
}

// hasWord says whether text has the word, with nothing beside it that could belong to another word: "-OOM " is OOM,
// TASK is not ASK.
func hasWord(text, word string) bool {
	for at := 0; ; {
		i := strings.Index(text[at:], word)
		if i < 0 {
			return false
		}
		start, end := at+i, at+i+len(word)
		if (start == 0 || !inWord(text[start-1])) && (end == len(text) || !inWord(text[end])) {
			return true
		}
		at = start + 1
	}
}

func inWord(c byte) bool {
	return c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_'
}

// Scope is what an error in the reply to one command concerns.
func (e *Error) Scope() Scope {
	switch e.Kind {
	case Malformed:
		return OfRecord
	case Refused:
		if r := refusalIn(e.Detail); r != nil {
			return r.scope
		}
	}
	return OfRedis
}

// Name is the error's name for operators: Redis's own word such as MISCONF, or the kind.
func (e *Error) Name() string {
	if e.Kind == Refused || e.Kind == Unavailable {
		if r := refusalIn(e.Detail); r != nil && r.word != "ERR" {
			return r.word
		}
	}
	return strings.ReplaceAll(e.Kind.String(), " ", "_")
}

// Advice is what to do about an error that concerns the call for a cluster's limit, or a whole call where cluster is "".
func (e *Error) Advice(cluster string) string {
	text := e.advice(cluster != "")
	if cluster != "" {
		text = strings.ReplaceAll(text, "CLUSTER", cluster)
	}
	return text
}

func (e *Error) advice(ofOne bool) string {
	if e.Kind == Refused || e.Kind == Unavailable {
		if r := refusalIn(e.Detail); r != nil && (e.Kind == Refused || r.word != "ERR" && !strings.HasPrefix(e.Detail, "status 40")) {
			return r.advice
		}
	}
	switch {
	case e.Kind == Refused:
		return "see Redis's log"
	case e.Kind == NoScript:
		return "what stands before Redis drops the script that Weir has just sent: let it pass EVAL and EVALSHA on"
	case e.Kind == Malformed && ofOne:
		return wrongContent
	case e.Kind == Malformed, e.Kind == TooLarge, e.is("404"):
		return "what answers in redis.cluster is not a bridge of redis.dialect: compare both with what runs there"
	case e.is("401"):
		return "the bridge does not take redis.token: compare it with the bridge's"
	case e.is("403"):
		return "the bridge does not allow EVAL and EVALSHA: allow them (weir bridge: --allow, Webdis: acl)"
	case strings.HasPrefix(e.Detail, NotSent):
		return "is redis.cluster the name of one of Envoy's clusters?"
	case e.Detail == NoReplyInTime:
		return "see whether Redis and the bridge are up, and compare weir_redis_latency_ms with redis.timeout"
	default:
		return "see whether the bridge is up, and whether it reaches Redis (weir bridge: GET /health)"
	}
}

// is says whether the bridge answered with this status.
func (e *Error) is(status string) bool {
	return e.Kind == Unavailable && strings.HasPrefix(e.Detail, "status "+status)
}

// Details of errors of kind Unavailable that no bridge has said: NotSent is before Envoy's reason.
const (
	NoReplyInTime = "no answer in time"
	NotSent       = "Envoy did not send the call: "
)
