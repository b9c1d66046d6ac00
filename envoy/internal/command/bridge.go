package command

import (
	"log/slog"
	"os"

	"github.com/redis/go-redis/v9/logging"
	"github.com/spf13/cobra"
	"github.com/weir-mesh/weir/envoy/internal/bridge"
)

// The bridge's secrets may come from the environment: other users of the machine can see a command line, but not that.
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
HTTP callouts and no other connections. It speaks HTTP/1.1 and, for Envoy clusters with http2_protocol_options, HTTP/2
without TLS.

  POST /          ["EVALSHA", "sha", "1", "key"]   {"result": ...}, or 400 {"error": ...} for an error of Redis
  POST /pipeline  [["GET", "a"], ["GET", "b"]]     [{"result": ...}, {"error": ...}], in order
  GET  /health    200, or 503 while Redis does not answer or the bridge drains; needs no token
  GET  /metrics   Prometheus text

The URL of Redis (or REDIS_URL in the environment, when neither --redis nor --embedded is given):
  redis://[USER:PASSWORD@]HOST[:6379][/DB]                         one server
  unix://[USER:PASSWORD@]/path/to/redis.sock[?db=DB]               one server
  redis+sentinel://[USER:PASSWORD@]HOST[:26379],HOST.../MASTER     the master that the Sentinels name; the login at the
                                                                   Sentinels is ?sentinel_username=U&sentinel_password=P
  redis+cluster://[USER:PASSWORD@]HOST[:6379],HOST...              a Redis Cluster
rediss, rediss+sentinel and rediss+cluster use TLS (?skip_verify=true accepts any certificate). Write / ? # @ % in a
password as %2F %3F %23 %40 %25. --embedded runs a Redis inside this process (miniredis), for demonstrations and tests;
its data ends with the process.

With --token (or WEIR_BRIDGE_TOKEN, which a list of processes does not show) callers must send "Authorization: Bearer
TOKEN". Without a token only this machine may call: --listen must then be a loopback address, unless --insecure is set.
The bridge serves no TLS; between machines, let the mesh encrypt the traffic.

Only EVAL, EVALSHA, PING and the commands of --allow are allowed. That guards against mistakes, but a script can run any
command, so give the bridge a Redis user whose ACL covers only its own keys.

On SIGTERM or SIGINT /health answers 503 for the time of --drain, while everything else is still served. Then the bridge
accepts no more requests and waits up to --grace for those in flight.`,
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
			o.Log = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			if err := o.Check(); err != nil {
				return err // of usage
			}
			logging.Disable() // go-redis logs a line for each request while Redis is down; the bridge logs the outage
			if err := bridge.Run(cmd.Context(), o); err != nil {
				return &failure{err: err}
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.Redis, "redis", "", "URL of Redis")
	flags.BoolVar(&o.Embedded, "embedded", false, "run a Redis inside this process")
	flags.StringVar(&o.Listen, "listen", bridge.DefaultListen, "HOST:PORT to listen on")
	flags.StringVar(&o.Token, "token", "", "token that callers must send; safer in "+tokenVariable)
	flags.BoolVar(&o.Insecure, "insecure", false, "allow other machines to call without a token")
	flags.StringSliceVar(&o.Allow, "allow", nil, "more commands to allow, such as GET,SCRIPT|LOAD; may be repeated")
	flags.DurationVar(&o.Timeout, "timeout", bridge.DefaultTimeout, "longest time of a request in Redis")
	flags.DurationVar(&o.Grace, "grace", bridge.DefaultGrace, "how long to wait for requests in flight when it stops")
	flags.DurationVar(&o.Drain, "drain", bridge.DefaultDrain, "how long /health answers 503 before it stops")
	flags.Int64Var(&o.MaxBody, "max-body", bridge.DefaultMaxBody, "largest body of a request, in bytes")
	flags.IntVar(&o.MaxCommands, "max-commands", bridge.DefaultMaxCommands, "most commands of a pipeline")
	flags.IntVar(&o.MaxConnections, "max-connections", bridge.DefaultMaxConnections, "most connections of callers at a time; others are closed at once")
	flags.IntVar(&o.MaxRequests, "max-requests", bridge.DefaultMaxRequests, "most requests in flight at a time; others get 503")
	flags.IntVar(&o.Connections, "connections", bridge.DefaultConnections, "most connections to each Redis server")
	return cmd
}
