package sharedstate_test

import (
	"testing"

	"github.com/weir-mesh/weir/sharedstate"
	"github.com/weir-mesh/weir/sharedstate/storetest"
)

func TestMemoryConforms(t *testing.T) {
	s := sharedstate.NewMemory()
	for _, c := range storetest.Cases {
		t.Run(c.Name, func(t *testing.T) {
			if err := c.Run(s, "weir/test/"); err != nil {
				t.Error(err)
			}
		})
	}
}
