package command

import (
	"bytes"
	"context"
	"time"

	"github.com/weir-mesh/weir/envoy/internal/status"
)

// text gets a status and formats it.
func (o statusOptions) text(ctx context.Context, client *status.Client, cluster string, color bool) ([]byte, error) {
	var b bytes.Buffer
	printer := status.Printer{Out: &b, Color: color}
	var raw []byte
	if cluster == "" {
		response, all, err := client.Status(ctx)
		if err != nil {
			return nil, err
		}
		raw = response
		printer.Status(client.String(), all)
	} else {
		response, one, err := client.Cluster(ctx, cluster)
		if err != nil {
			return nil, err
		}
		raw = response
		printer.Cluster(client.String(), cluster, one, time.Now())
	}
	if o.asJSON {
		return status.JSON(raw, o.watch == 0)
	}
	return b.Bytes(), nil
}

// overScreen makes a text that replaces what the terminal shows, without the flicker of an empty screen: it starts in
// the upper left corner (CSI H), erases the rest of each line (CSI K), and what is below (CSI J). ECMA-48, 8.3.21,
// 8.3.41, 8.3.39
func overScreen(text []byte) []byte {
	text = bytes.ReplaceAll(text, []byte("\n"), []byte("\x1b[K\n"))
	return append(append([]byte("\x1b[H"), text...), "\x1b[J"...)
}
