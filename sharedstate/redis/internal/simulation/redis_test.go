package simulation

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/parse"

	"github.com/weir-mesh/weir/sharedstate/redis"
)

// epoch is Redis's clock when the simulation starts, in microseconds.
const epoch = 1_764_000_000_000_000

// server is as much of a Redis as the scripts need, with a clock that is set. A script is compiled once, which is why
// it is faster than miniredis.
type server struct {
	lua     *lua.LState
	scripts map[string]*lua.FunctionProto
	keys    map[string]*value
	now     int64 // µs
}

// value is what a key has: one of the two, and when it expires (µs, 0: never).
type value struct {
	zset    *zset
	hash    map[string]string
	expires int64
}

func newServer() *server {
	s := &server{
		lua:     lua.NewState(lua.Options{RegistrySize: 1 << 14, RegistryMaxSize: 1 << 20, SkipOpenLibs: true}),
		scripts: map[string]*lua.FunctionProto{},
		keys:    map[string]*value{},
	}
	for _, open := range []lua.LGFunction{lua.OpenBase, lua.OpenTable, lua.OpenString, lua.OpenMath} {
		s.lua.Push(s.lua.NewFunction(open))
		s.lua.Call(0, 0)
	}
	s.lua.SetGlobal("redis", s.lua.SetFuncs(s.lua.NewTable(), map[string]lua.LGFunction{"call": s.call}))
	return s
}

// do runs EVALSHA or EVAL at a time in microseconds.
func (s *server) do(c *redis.Command, now int64) redis.Result {
	s.now = now
	source := string(c.Word(1))
	sha := source
	switch name := string(c.Word(0)); name {
	case "EVAL":
		sum := sha1.Sum([]byte(source))
		sha = hex.EncodeToString(sum[:])
		if s.scripts[sha] == nil {
			chunk, err := parse.Parse(strings.NewReader(source), "script")
			if err != nil {
				return refused(err.Error())
			}
			proto, err := lua.Compile(chunk, "script")
			if err != nil {
				return refused(err.Error())
			}
			s.scripts[sha] = proto
		}
	case "EVALSHA":
		if s.scripts[sha] == nil {
			return redis.Result{Err: &redis.Error{Kind: redis.NoScript, Detail: "NOSCRIPT No matching script."}}
		}
	default:
		return refused("unknown command " + name)
	}
	keys, err := strconv.Atoi(string(c.Word(2)))
	if err != nil || keys+3 > c.Len() {
		return refused("number of keys")
	}
	s.lua.SetGlobal("KEYS", s.words(c, 3, 3+keys))
	s.lua.SetGlobal("ARGV", s.words(c, 3+keys, c.Len()))
	s.lua.Push(s.lua.NewFunctionFromProto(s.scripts[sha]))
	if err := s.lua.PCall(0, 1, nil); err != nil {
		return refused(err.Error())
	}
	reply := s.lua.Get(-1)
	s.lua.Pop(1)
	return result(reply)
}

func (s *server) words(c *redis.Command, from, to int) *lua.LTable {
	t := s.lua.CreateTable(to-from, 0)
	for i := from; i < to; i++ {
		t.Append(lua.LString(c.Word(i)))
	}
	return t
}

// result is what the client gets of what a script returned: numbers lose what is behind the point.
func result(reply lua.LValue) (r redis.Result) {
	switch reply := reply.(type) {
	case lua.LNumber:
		r.Ints = []int64{int64(reply)}
	case *lua.LTable:
		for i := 1; i <= reply.Len(); i++ {
			n, ok := reply.RawGetInt(i).(lua.LNumber)
			if !ok {
				return refused("not a number in the reply: " + reply.RawGetInt(i).String())
			}
			r.Ints = append(r.Ints, int64(n))
		}
	default:
		return refused("reply of type " + reply.Type().String())
	}
	return r
}

func refused(detail string) redis.Result {
	return redis.Result{Err: &redis.Error{Kind: redis.Refused, Detail: detail}}
}

// call is redis.call. What it does not know makes the script fail.
func (s *server) call(l *lua.LState) int {
	args := make([]string, l.GetTop())
	for i := range args {
		switch v := l.Get(i + 1).(type) {
		case lua.LString:
			args[i] = string(v)
		case lua.LNumber:
			args[i] = text(float64(v))
		default:
			l.RaiseError("argument %d of redis.call is a %s", i+1, v.Type())
		}
	}
	v, err := s.command(args)
	if err != nil {
		l.RaiseError("%s %v", args, err)
	}
	l.Push(v)
	return 1
}

// text is a number as Redis writes it: %.17g.
func text(n float64) string {
	if n == math.Trunc(n) && math.Abs(n) < 1e17 {
		return strconv.FormatInt(int64(n), 10)
	}
	return strconv.FormatFloat(n, 'g', 17, 64)
}

func (s *server) command(args []string) (lua.LValue, error) {
	if args[0] == "TIME" {
		return s.list(strconv.FormatInt(s.now/1e6, 10), strconv.FormatInt(s.now%1e6, 10)), nil
	}
	if len(args) < 2 {
		return nil, fmt.Errorf("no key")
	}
	name := args[0]
	v := s.keys[args[1]]
	if v != nil && v.expires != 0 && v.expires <= s.now {
		delete(s.keys, args[1])
		v = nil
	}
	switch name {
	case "DEL":
		n := 0
		for _, key := range args[1:] {
			if v := s.keys[key]; v != nil && (v.expires == 0 || v.expires > s.now) {
				n++
			}
			delete(s.keys, key)
		}
		return lua.LNumber(n), nil
	case "PEXPIRE":
		ms, err := strconv.ParseInt(args[2], 10, 64)
		if err != nil || v == nil {
			return lua.LNumber(0), err
		}
		v.expires = s.now/1000*1000 + ms*1000
		return lua.LNumber(1), nil
	}
	fresh := v == nil
	if fresh {
		v = &value{}
	}
	var reply lua.LValue
	var err error
	switch name[0] {
	case 'Z':
		if v.hash != nil {
			return nil, fmt.Errorf("WRONGTYPE")
		}
		if v.zset == nil {
			v.zset = &zset{scores: map[string]float64{}}
		}
		reply, err = s.sorted(v.zset, args)
	case 'H':
		if v.zset != nil {
			return nil, fmt.Errorf("WRONGTYPE")
		}
		if v.hash == nil {
			v.hash = map[string]string{}
		}
		reply, err = s.hashed(v.hash, args)
	default:
		return nil, fmt.Errorf("is not known")
	}
	switch empty := (v.zset == nil || len(v.zset.order) == 0) && len(v.hash) == 0; {
	case empty && !fresh:
		delete(s.keys, args[1])
	case !empty && fresh:
		s.keys[args[1]] = v
	}
	return reply, err
}

// sorted runs the commands of sorted sets.
func (s *server) sorted(z *zset, args []string) (lua.LValue, error) {
	switch args[0] {
	case "ZADD":
		score, err := strconv.ParseFloat(args[2], 64)
		if err != nil || len(args) != 4 {
			return nil, fmt.Errorf("takes one score and member")
		}
		return number(z.add(args[3], score)), nil
	case "ZCOUNT":
		low, errLow := strconv.ParseFloat(args[2], 64)
		high, errHigh := strconv.ParseFloat(args[3], 64)
		if errLow != nil || errHigh != nil {
			return nil, fmt.Errorf("takes two scores")
		}
		return lua.LNumber(len(z.between(low, high))), nil
	case "ZCARD":
		return lua.LNumber(len(z.order)), nil
	case "ZSCORE":
		score, known := z.scores[args[2]]
		if !known {
			return lua.LFalse, nil
		}
		return lua.LString(text(score)), nil
	case "ZREM":
		n := 0
		for _, member := range args[2:] {
			if z.remove(member) {
				n++
			}
		}
		return lua.LNumber(n), nil
	case "ZRANGE":
		return s.ranged(z, args)
	case "ZRANGEBYSCORE", "ZREMRANGEBYSCORE":
		low, errLow := strconv.ParseFloat(args[2], 64)
		high, errHigh := strconv.ParseFloat(args[3], 64)
		if errLow != nil || errHigh != nil || (len(args) != 4 && (len(args) != 7 || args[4] != "LIMIT" || args[5] != "0")) {
			return nil, fmt.Errorf("takes two scores, and LIMIT from 0")
		}
		found := z.between(low, high)
		if len(args) == 7 {
			limit, err := strconv.Atoi(args[6])
			if err != nil {
				return nil, err
			}
			found = found[:min(len(found), limit)]
		}
		members := make([]string, len(found))
		for i, e := range found {
			members[i] = e.member
		}
		if args[0] == "ZRANGEBYSCORE" {
			return s.list(members...), nil
		}
		for _, member := range members {
			z.remove(member)
		}
		return lua.LNumber(len(members)), nil
	}
	return nil, fmt.Errorf("is not known")
}

// ranged is ZRANGE by rank.
func (s *server) ranged(z *zset, args []string) (lua.LValue, error) {
	from, errFrom := strconv.Atoi(args[2])
	to, errTo := strconv.Atoi(args[3])
	if errFrom != nil || errTo != nil || from < 0 || to < -1 {
		return nil, fmt.Errorf("takes ranks from 0, and -1 for the last")
	}
	if to == -1 || to >= len(z.order) {
		to = len(z.order) - 1
	}
	var words []string
	for i := from; i <= to; i++ {
		words = append(words, z.order[i].member)
		if len(args) == 5 && args[4] == "WITHSCORES" {
			words = append(words, text(z.order[i].score))
		}
	}
	return s.list(words...), nil
}

// hashed runs the commands of hashes.
func (s *server) hashed(h map[string]string, args []string) (lua.LValue, error) {
	switch args[0] {
	case "HGET":
		return field(h, args[2]), nil
	case "HGETALL":
		words := make([]string, 0, 2*len(h))
		for name, v := range h {
			words = append(words, name, v)
		}
		return s.list(words...), nil
	case "HMGET":
		t := s.lua.CreateTable(len(args)-2, 0)
		for _, name := range args[2:] {
			t.Append(field(h, name))
		}
		return t, nil
	case "HSET":
		n := 0
		for i := 2; i+1 < len(args); i += 2 {
			if _, known := h[args[i]]; !known {
				n++
			}
			h[args[i]] = args[i+1]
		}
		return lua.LNumber(n), nil
	case "HDEL":
		n := 0
		for _, name := range args[2:] {
			if _, known := h[name]; known {
				n++
				delete(h, name)
			}
		}
		return lua.LNumber(n), nil
	case "HINCRBY":
		old := int64(0)
		if was, known := h[args[2]]; known {
			var err error
			if old, err = strconv.ParseInt(was, 10, 64); err != nil {
				return nil, err
			}
		}
		by, err := strconv.ParseInt(args[3], 10, 64)
		h[args[2]] = strconv.FormatInt(old+by, 10)
		return lua.LNumber(old + by), err
	}
	return nil, fmt.Errorf("is not known")
}

func field(h map[string]string, name string) lua.LValue {
	if v, known := h[name]; known {
		return lua.LString(v)
	}
	return lua.LFalse
}

func number(b bool) lua.LValue {
	if b {
		return lua.LNumber(1)
	}
	return lua.LNumber(0)
}

func (s *server) list(words ...string) lua.LValue {
	t := s.lua.CreateTable(len(words), 0)
	for _, w := range words {
		t.Append(lua.LString(w))
	}
	return t
}
