package command

import (
	"os"

	"github.com/redis/go-redis/v9/logging"
	"github.com/spf13/cobra"
	"github.com/weir-mesh/weir/envoy/internal/bridge"
)

// The bridge's secrets may come from the environment, which other users of the machine do not see, as they do a command line.
const (
	tokenVariable = "WEIR_BRIDGE_TOKEN"
	redisVariable = "REDIS_URL"
)

func newBridge() *cobra.Command {
	var o bridge.Options
	cmd := &cobra.Command{
		Use:   "bridge {--redis URL | --embedded}",
		Short: "Serve Redis over HTTP, for limits of scope mesh where no Webdis runs",
		Long: `Serve Redis over HTTP in the dialect of Upstash's REST API (redis.dialect: upstash), since Envoy's Wasm filters can make
HTTP callouts and nothing else. HTTP/1.1 and, for Envoy clusters with http2_protocol_options, HTTP/2 without TLS.

  POST /          ["EVALSHA", "sha", "1", "key"]   {"result": ...}, or 400 {"error": ...} where Redis says so
  POST /pipeline  [["GET", "a"], ["GET", "b"]]     [{"result": ...}, {"error": ...}], in order
  GET  /health    200, or 503 while Redis does not answer or the bridge drains; no token needed
  GET  /metrics   Prometheus text

The URL of Redis (or REDIS_URL in the environment, when neither --redis nor --embedded is given):
  redis://[USER:PASSWORD@]HOST[:6379][/DB]                         one server
  unix://[USER:PASSWORD@]/path/to/redis.sock[?db=DB]               one server
  redis+sentinel://[USER:PASSWORD@]HOST[:26379],HOST.../MASTER     the master that the Sentinels name; their own login
                                                                   is ?sentinel_username=U&sentinel_password=P
  redis+cluster://[USER:PASSWORD@]HOST[:6379],HOST...              a Redis Cluster
rediss, rediss+sentinel and rediss+cluster are with TLS (?skip_verify=true takes any certificate). / ? # @ % in a
password are written %2F %3F %23 %40 %25. --embedded is a Redis inside this process (miniredis), for demonstrations
and tests: what it holds is gone with it.

Who may call: with --token (or WEIR_BRIDGE_TOKEN, which is not seen in a list of processes), who sends "Authorization:
Bearer TOKEN". Without a token only this machine may: --listen must then be a loopback address, unless --insecure says
otherwise. There is no TLS on this side; between machines, leave that to the mesh.

Only EVAL, EVALSHA, PING and what --allow adds are let through. That guards against mistakes, but a script can run any
command, so give the bridge a Redis user whose ACL has no more than its keys.

On SIGTERM or SIGINT /health says 503 for the time of --drain, while all else goes on; then no more requests are taken,
and those under way may end within --grace.`,
		Example: `  weir bridge --embedded
  weir bridge --redis $REDIS_URL
  WEIR_BRIDGE_TOKEN=... weir bridge --redis redis+sentinel://s1,s2,s3/mymaster --listen 0.0.0.0:7379
  curl -d '["PING"]' http://127.0.0.1:7379/`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Token == "" {
				o.Token = os.Getenv(tokenVariable)
			}
			if o.Redis == "" && !o.Embedded {
				o.Redis = os.Getenv(redisVariable)
			}
			o.Log = cmd.ErrOrStderr()
			if err := o.Check(); err != nil {
				return err // of usage
			}
			logging.Disable() // go-redis's own lines, one a request while Redis is away; the bridge tells it itself
			if err := bridge.Run(cmd.Context(), o); err != nil {
				return &failure{err: err}
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.Redis, "redis", "", "URL of Redis")
	flags.BoolVar(&o.Embedded, "embedded", false, "a Redis inside this process")
	flags.StringVar(&o.Listen, "listen", bridge.DefaultListen, "HOST:PORT to listen on")
	flags.StringVar(&o.Token, "token", "", "what callers must show; better in "+tokenVariable)
	flags.BoolVar(&o.Insecure, "insecure", false, "let other machines call without a token")
	flags.StringSliceVar(&o.Allow, "allow", nil, "further commands to let through, such as GET,SCRIPT|LOAD; may be repeated")
	flags.DurationVar(&o.Timeout, "timeout", bridge.DefaultTimeout, "a request's time in Redis")
	flags.DurationVar(&o.Grace, "grace", bridge.DefaultGrace, "how long requests under way may take once it stops")
	flags.DurationVar(&o.Drain, "drain", bridge.DefaultDrain, "how long /health says 503 before it stops")
	flags.Int64Var(&o.MaxBody, "max-body", bridge.DefaultMaxBody, "bytes of a request's body")
	flags.IntVar(&o.MaxCommands, "max-commands", bridge.DefaultMaxCommands, "commands of a pipeline")
	flags.IntVar(&o.MaxRequests, "max-requests", bridge.DefaultMaxRequests, "requests under way at a time; one more gets 503")
	flags.IntVar(&o.Connections, "connections", bridge.DefaultConnections, "connections to each Redis server, at most")
	return cmd
}
