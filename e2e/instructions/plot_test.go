package instructions

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestPlot(t *testing.T) {
	var b strings.Builder
	if err := Plot(&b, "a < b", []Bar{{"peer & co", 3700}, {"Weir: breaker", 74100}, {"nothing", -12}}); err != nil {
		t.Fatal(err)
	}
	texts, widths := []string{}, []string{}
	for d := xml.NewDecoder(strings.NewReader(b.String())); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, b.String())
		}
		switch token := token.(type) {
		case xml.CharData:
			texts = append(texts, string(token))
		case xml.StartElement:
			for _, a := range token.Attr {
				if token.Name.Local == "rect" && a.Name.Local == "width" {
					widths = append(widths, a.Value)
				}
			}
		}
	}
	got := strings.Join(texts, "|")
	for _, want := range []string{"a < b", "peer & co", "3,700", "74,100", "-12"} {
		if !strings.Contains(got, want) {
			t.Errorf("got texts %q, want %q among them", got, want)
		}
	}
	if got, want := strings.Join(widths, " "), "800 20 420 1"; got != want { // the page; 420 * 3700 / 74100
		t.Errorf("got widths %q, want %q", got, want)
	}
}
