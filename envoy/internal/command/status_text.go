package command

import (
	"bytes"
	"context"
	"time"

	"github.com/weir-mesh/weir/envoy/internal/status"
	"github.com/weir-mesh/weir/filter/adminapi"
)

// text gets a status and formats it. Found are the clusters whose state is one of --fail-on.
func (o statusOptions) text(ctx context.Context, client *status.Client, cluster string, color bool) (text []byte, found []string, _ error) {
	var b bytes.Buffer
	printer := status.Printer{Out: &b, Color: color}
	var raw []byte
	if cluster == "" {
		response, all, err := client.Status(ctx)
		if err != nil {
			return nil, nil, err
		}
		raw = response
		found = status.In(o.failOn, all.Clusters, all.Time.Time())
		printer.Status(client.String(), all)
	} else {
		response, one, err := client.Cluster(ctx, cluster)
		if err != nil {
			return nil, nil, err
		}
		raw = response
		now := time.Now()
		found = status.In(o.failOn, map[string]adminapi.Cluster{cluster: *one}, now)
		printer.Cluster(client.String(), cluster, one, now)
	}
	if o.asJSON {
		text, err := status.JSON(raw, o.watch == 0)
		return text, found, err
	}
	return b.Bytes(), found, nil
}

// overScreen makes a text that replaces what the terminal shows, without the flicker of an empty screen: it starts in
// the upper left corner (CSI H), erases the rest of each line (CSI K), and what is below (CSI J). ECMA-48, 8.3.21,
// 8.3.41, 8.3.39
func overScreen(text []byte) []byte {
	text = bytes.ReplaceAll(text, []byte("\n"), []byte("\x1b[K\n"))
	return append(append([]byte("\x1b[H"), text...), "\x1b[J"...)
}
