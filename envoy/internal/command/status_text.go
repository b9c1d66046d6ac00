package command

import (
	"bytes"
	"context"
	"time"

	"github.com/weir-mesh/weir/envoy/internal/status"
)

// text is one answer as it is printed.
func (o statusOptions) text(ctx context.Context, client *status.Client, cluster string, color bool) ([]byte, error) {
	var b bytes.Buffer
	page := status.Page{Out: &b, Color: color}
	var raw []byte
	if cluster == "" {
		answer, all, err := client.All(ctx)
		if err != nil {
			return nil, err
		}
		raw = answer
		page.All(client.String(), all)
	} else {
		answer, one, err := client.One(ctx, cluster)
		if err != nil {
			return nil, err
		}
		raw = answer
		page.One(client.String(), cluster, one, time.Now())
	}
	if o.asJSON {
		return status.JSON(raw, o.watch == 0)
	}
	return b.Bytes(), nil
}

// redrawn is a text that takes the place of what the terminal shows, without the flicker of an empty screen: to the upper
// left (CSI H), the rest of each line away (CSI K), then all that is below (CSI J). ECMA-48, 8.3.21, 8.3.41, 8.3.39
func redrawn(text []byte) []byte {
	text = bytes.ReplaceAll(text, []byte("\n"), []byte("\x1b[K\n"))
	return append(append([]byte("\x1b[H"), text...), "\x1b[J"...)
}
