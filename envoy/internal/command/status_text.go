package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/weir-mesh/weir/envoy/internal/status"
	"github.com/weir-mesh/weir/filter/adminapi"
)

// text gets a status and formats it. Found are the clusters whose state is one of --fail-on.
func (o statusOptions) text(ctx context.Context, clients []*status.Client, cluster string, color bool) (text []byte, found []string, _ error) {
	if len(clients) > 1 {
		return o.fleet(ctx, clients, cluster, color)
	}
	var b bytes.Buffer
	printer := status.Printer{Out: &b, Color: color, Recent: o.recent, ByName: o.byName}
	client := clients[0]
	var raw []byte
	var flat any
	if cluster == "" {
		response, all, err := client.Status(ctx)
		if err != nil {
			return nil, nil, err
		}
		raw = response
		o.recent.Add(client.String(), all)
		found = o.recent.In(o.failOn, client.String(), all.Clusters, all.Time.Time())
		printer.Status(client.String(), all)
		flat = status.FlatAll(all.Clusters)
	} else {
		response, one, err := client.Cluster(ctx, cluster)
		if err != nil {
			return nil, nil, err
		}
		raw = response
		now := time.Now()
		o.recent.AddCluster(client.String(), cluster, one, now)
		found = o.recent.In(o.failOn, client.String(), map[string]adminapi.Cluster{cluster: *one}, now)
		printer.Cluster(client.String(), cluster, one, now)
		flat = status.FlatOf(one)
	}
	switch o.format {
	case inJSON:
		text, err := status.JSON(raw, o.watch == 0)
		return text, found, err
	case inFlat:
		text, err := status.FlatJSON(flat, o.watch == 0)
		return text, found, err
	default:
		return b.Bytes(), found, nil
	}
}

// fleet is text for several Envoys. One that does not answer is an error beside the text about the others.
func (o statusOptions) fleet(ctx context.Context, clients []*status.Client, cluster string, color bool) (text []byte, found []string, err error) {
	members, raws := make([]status.Member, len(clients)), make([]json.RawMessage, len(clients))
	var all sync.WaitGroup
	for i, client := range clients {
		all.Go(func() {
			raw, s, err := client.Status(ctx)
			members[i], raws[i] = status.Member{At: client.String(), Status: s, Err: err}, raw
		})
	}
	all.Wait()
	if ctx.Err() != nil {
		return nil, nil, ctx.Err()
	}
	whole, flat, known := map[string]any{}, map[string]any{}, false
	for i, m := range members {
		if m.Err != nil {
			err = errors.Join(err, m.Err)
			failed := map[string]string{"error": m.Err.Error()}
			whole[m.At], flat[m.At] = failed, failed
			continue
		}
		o.recent.Add(m.At, m.Status)
		clusters := m.Status.Clusters
		whole[m.At] = raws[i]
		if cluster != "" {
			c, here := clusters[cluster]
			clusters = map[string]adminapi.Cluster{}
			if here {
				known, clusters[cluster] = true, c
			}
			var as struct{ Clusters map[string]json.RawMessage } // as they came, with what only another version knows
			if failed := json.Unmarshal(raws[i], &as); failed != nil {
				return nil, nil, failed
			}
			maps.DeleteFunc(as.Clusters, func(name string, _ json.RawMessage) bool { return name != cluster })
			whole[m.At] = as.Clusters
		}
		flat[m.At] = status.FlatAll(clusters)
		for _, one := range o.recent.In(o.failOn, m.At, clusters, m.Status.Time.Time()) {
			found = append(found, one+" at "+m.At)
		}
	}
	if cluster != "" && !known {
		return nil, nil, errors.Join(fmt.Errorf("no cluster %s at any of the %d URLs", status.Printable(cluster), len(clients)), err)
	}
	switch o.format {
	case inJSON:
		text, failed := status.FlatJSON(whole, o.watch == 0)
		return text, found, errors.Join(err, failed)
	case inFlat:
		text, failed := status.FlatJSON(flat, o.watch == 0)
		return text, found, errors.Join(err, failed)
	default:
		var b bytes.Buffer
		status.Printer{Out: &b, Color: color, Recent: o.recent, ByName: o.byName}.Fleet(members, cluster)
		return b.Bytes(), found, err
	}
}

// overScreen makes a text that replaces what the terminal shows, without the flicker of an empty screen: it starts in
// the upper left corner (CSI H), erases the rest of each line (CSI K), and what is below (CSI J). ECMA-48, 8.3.21,
// 8.3.41, 8.3.39
func overScreen(text []byte) []byte {
	text = bytes.ReplaceAll(text, []byte("\n"), []byte("\x1b[K\n"))
	return append(append([]byte("\x1b[H"), text...), "\x1b[J"...)
}
