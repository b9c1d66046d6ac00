package policy

import "testing"

// TestVersion: documents of one group have one version, whatever their form, and each group has another.
func TestVersion(t *testing.T) {
	of := map[uint32]int{}
	for group, documents := range [][]string{
		{
			`{"clusters": {"a": {"rate_limit": {"requests": 10, "window_size": "1s"}, "bulkhead": {}}, "b": {}}, "default": {}}`,
			`{"default": {}, "clusters": {"b": {}, "a": {"bulkhead": {}, "rate_limit": {"window_size": "1s", "requests": 1e1}}}}`,
			"{\"default\":{},\n\"clusters\":{\"b\":{},\"\\u0061\":{\"bulkhead\":{},\"rate_limit\":{\"window_size\":\"1s\",\"requests\":10.0}}}}",
		},
		{`{"clusters": {"a": {"rate_limit": {"requests": 20, "window_size": "1s"}, "bulkhead": {}}, "b": {}}, "default": {}}`},
		{`{"clusters": {"b": {"rate_limit": {"requests": 10, "window_size": "1s"}, "bulkhead": {}}, "a": {}}, "default": {}}`},
		{`{"clusters": {"a": {"rate_limit": {"requests": 10, "window_size": "1s"}}, "b": {"bulkhead": {}}}, "default": {}}`},
		{`{"clusters": {"a": {"rate_limit": {"requests": "${A:-10}", "window_size": "1s"}, "bulkhead": {}}, "b": {}}, "default": {}}`},
		{`{"clusters": {"a": {"rate_limit": {"requests": "${A:-10}", "window_size": "1s"}, "bulkhead": {}}, "b": {}}}`},
		{`{"clusters": {"a": {"retry": {"methods": ["GET", "PUT"]}}}}`},
		{`{"clusters": {"a": {"retry": {"methods": ["PUT", "GET"]}}}}`},
		{`{"clusters": {"a": {"fallback": {"default_data": {"body": {"x": [true]}}}}}}`},
		{`{"clusters": {"a": {"fallback": {"default_data": {"body": {"x": [false]}}}}}}`},
		{`{"clusters": {"a": {"fallback": {"default_data": {"body": {"x": [[]]}}}}}}`},
		{`{"clusters": {"a": {"fallback": {"default_data": {"body": {"x": [null]}}}}}}`},
		{`{"clusters": {"a": {"fallback": {"default_data": {"body": {"x": []}}}}}}`},
		{`{"admin": {}}`},
		{`{"default": {}}`},
	} {
		for _, document := range documents {
			for form, raw := range map[string][]byte{"JSON": []byte(document), "a Struct": structBytes(t, []byte(document))} {
				doc, err := Decode(raw, noVariables)
				if err != nil {
					t.Fatalf("%s: %v", document, err)
				}
				if other, known := of[doc.Version()]; known && other != group {
					t.Errorf("%s as %s: got version %d, which documents of group %d have", document, form, doc.Version(), other)
				}
				of[doc.Version()] = group
			}
		}
		versions := 0
		for _, g := range of {
			if g == group {
				versions++
			}
		}
		if versions != 1 {
			t.Errorf("%q: got %d versions, want 1", documents, versions)
		}
	}
}
