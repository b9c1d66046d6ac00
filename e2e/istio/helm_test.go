package istio

import (
	"fmt"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"

	"github.com/weir-mesh/weir/envoy/kube/charttest"
)

// TestHelm: Helm renders the charts for Istio and for Envoy Gateway as what the YAML form has, by their own values and by others.
func TestHelm(t *testing.T) { charttest.Check(t, helmTemplate) }

// helmTemplate is `helm template`.
func helmTemplate(dir string, values map[string]any) (map[string]string, error) {
	c, err := loader.Load(dir)
	if err != nil {
		return nil, err
	}
	if err := c.Validate(); err != nil {
		return nil, err
	}
	all, err := util.ToRenderValues(c, values, common.ReleaseOptions{Name: "weir", Namespace: "elsewhere", IsInstall: true}, nil)
	if err != nil {
		return nil, err
	}
	texts, err := engine.Render(c, all)
	if err != nil {
		return nil, err
	}
	for name := range texts {
		if !strings.HasPrefix(name, c.Name()+"/templates/") {
			return nil, fmt.Errorf("got the template %s", name)
		}
	}
	return texts, nil
}
